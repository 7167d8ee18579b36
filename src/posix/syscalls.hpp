// SPDX-License-Identifier: BSL-1.0
#pragma once

// The only place that names system calls. Include it with angle brackets: tests put a header of the same name
// first on the include path, and so can make any call fail.

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
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

namespace daemonctx::posix {

using ::_exit;
using ::access;
using ::chdir;
using ::chroot;
using ::close;
using ::connect;
using ::dup2;
using ::faccessat;
using ::fchdir;
using ::fchmod;
using ::fchown;
using ::fcntl;
using ::flock;
using ::fork;
using ::fstat;
using ::fstatat;
using ::fstatfs;
using ::ftruncate;
using ::getcwd;
using ::getegid;
using ::geteuid;
using ::getgid;
using ::getgroups;
using ::getpid;
using ::getppid;
using ::getresgid;
using ::getresuid;
using ::getrlimit;
using ::getsid;
using ::getuid;
using ::ioctl;
using ::kill;
using ::lstat;
using ::madvise;
using ::memfd_create;
using ::mkdirat;
using ::mmap;
using ::munmap;
using ::open;
using ::openat;
using ::pipe2;
using ::poll;
using ::ppoll;
using ::prctl;
using ::pread;
using ::pthread_sigmask;
using ::pwrite;
using ::read;
using ::readlinkat;
using ::recvmsg;
using ::send;
using ::sendmsg;
using ::setegid;
using ::seteuid;
using ::setgid;
using ::setgroups;
using ::setresgid;
using ::setresuid;
using ::setrlimit;
using ::setsid;
using ::setuid;
using ::sigaction;
using ::sigaltstack;
using ::sigqueue;
using ::sigtimedwait;
using ::sigwaitinfo;
using ::socket;
using ::socketpair;
using ::stat;
using ::statx;
using ::syscall;
using ::umask;
using ::unlink;
using ::unlinkat;
using ::vfork;
using ::waitid;
using ::waitpid;
using ::write;
using ::writev;

}  // namespace daemonctx::posix
