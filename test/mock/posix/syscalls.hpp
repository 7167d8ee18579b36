// SPDX-License-Identifier: BSL-1.0
#pragma once

// Replaces src/posix/syscalls.hpp and makes one call fail. The environment variable DAEMONCTX_FAULT selects
// the call as "NAME:N:ERRNO": the N-th call of NAME, counted over all processes of a start. The failing call
// creates the file that DAEMONCTX_FAULT_MARK names.

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <new>

namespace daemonctx::posix {

// Made before the first fork.
inline std::atomic<long>* shared_counter() noexcept {
  void* const place =
      ::mmap(nullptr, sizeof(long), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (place == MAP_FAILED) ::abort();
  return new (place) std::atomic<long>(0);
}

inline int next_fault(const char* name) noexcept {
  static const char* const wanted = ::getenv("DAEMONCTX_FAULT");
  static std::atomic<long>* const calls = shared_counter();
  if (wanted == nullptr) return 0;
  const std::size_t length = std::strlen(name);
  if (std::strncmp(wanted, name, length) != 0 || wanted[length] != ':') return 0;
  char* rest = nullptr;
  if (std::strtol(wanted + length + 1, &rest, 10) != ++*calls) return 0;
  ::close(::open(::getenv("DAEMONCTX_FAULT_MARK"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  return std::atoi(rest + 1);
}

#define DAEMONCTX_FALLIBLE(name)                   \
  template <class... Arguments>                    \
  auto name(Arguments... arguments) noexcept {     \
    using Result = decltype(::name(arguments...)); \
    const int fault = next_fault(#name);           \
    if (fault == 0) return ::name(arguments...);   \
    errno = fault;                                 \
    return (Result)-1;                             \
  }

DAEMONCTX_FALLIBLE(bind)
DAEMONCTX_FALLIBLE(chdir)
DAEMONCTX_FALLIBLE(chmod)
DAEMONCTX_FALLIBLE(chroot)
DAEMONCTX_FALLIBLE(connect)
DAEMONCTX_FALLIBLE(dup2)
DAEMONCTX_FALLIBLE(faccessat)
DAEMONCTX_FALLIBLE(fchdir)
DAEMONCTX_FALLIBLE(fchmod)
DAEMONCTX_FALLIBLE(fchown)
DAEMONCTX_FALLIBLE(fchownat)
DAEMONCTX_FALLIBLE(fcntl)
DAEMONCTX_FALLIBLE(flock)
DAEMONCTX_FALLIBLE(fork)
DAEMONCTX_FALLIBLE(fstat)
DAEMONCTX_FALLIBLE(fstatat)
DAEMONCTX_FALLIBLE(ftruncate)
DAEMONCTX_FALLIBLE(getgroups)
DAEMONCTX_FALLIBLE(getresgid)
DAEMONCTX_FALLIBLE(getresuid)
DAEMONCTX_FALLIBLE(getrlimit)
DAEMONCTX_FALLIBLE(getsockopt)
DAEMONCTX_FALLIBLE(listen)
DAEMONCTX_FALLIBLE(lstat)
DAEMONCTX_FALLIBLE(madvise)
DAEMONCTX_FALLIBLE(mkdirat)
DAEMONCTX_FALLIBLE(mmap)
DAEMONCTX_FALLIBLE(open)
DAEMONCTX_FALLIBLE(openat)
DAEMONCTX_FALLIBLE(pipe2)
DAEMONCTX_FALLIBLE(poll)
DAEMONCTX_FALLIBLE(ppoll)
DAEMONCTX_FALLIBLE(prctl)
DAEMONCTX_FALLIBLE(pwrite)
DAEMONCTX_FALLIBLE(read)
DAEMONCTX_FALLIBLE(send)
DAEMONCTX_FALLIBLE(sendmsg)
DAEMONCTX_FALLIBLE(setgroups)
DAEMONCTX_FALLIBLE(sched_setaffinity)
DAEMONCTX_FALLIBLE(setpriority)
DAEMONCTX_FALLIBLE(setresgid)
DAEMONCTX_FALLIBLE(setresuid)
DAEMONCTX_FALLIBLE(setrlimit)
DAEMONCTX_FALLIBLE(setsid)
DAEMONCTX_FALLIBLE(setsockopt)
DAEMONCTX_FALLIBLE(sigaction)
DAEMONCTX_FALLIBLE(sigtimedwait)
DAEMONCTX_FALLIBLE(socket)
DAEMONCTX_FALLIBLE(socketpair)
DAEMONCTX_FALLIBLE(stat)
DAEMONCTX_FALLIBLE(syscall)
DAEMONCTX_FALLIBLE(unlink)
DAEMONCTX_FALLIBLE(unlinkat)
DAEMONCTX_FALLIBLE(waitid)
DAEMONCTX_FALLIBLE(waitpid)
DAEMONCTX_FALLIBLE(write)
DAEMONCTX_FALLIBLE(writev)

#undef DAEMONCTX_FALLIBLE

inline pid_t vfork() noexcept { return fork(); }  // a function that calls vfork(2) must not return

// These calls don't fail, or the library could do nothing about a failure.
using ::_exit;
using ::access;
using ::close;
using ::execve;
using ::fexecve;
using ::fstatfs;
using ::getcwd;
using ::getegid;
using ::geteuid;
using ::getgid;
using ::getpid;
using ::getppid;
using ::getpriority;
using ::getsid;
using ::getuid;
using ::ioctl;
using ::kill;
using ::memfd_create;
using ::munmap;
using ::pread;
using ::pthread_sigmask;
using ::readlink;
using ::readlinkat;
using ::recv;
using ::recvmsg;
using ::sched_getaffinity;
using ::setegid;
using ::seteuid;
using ::setgid;
using ::setuid;
using ::shutdown;
using ::sigaltstack;
using ::sigqueue;
using ::sigwaitinfo;
using ::statx;
using ::umask;

}  // namespace daemonctx::posix
