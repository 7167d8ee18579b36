// SPDX-License-Identifier: BSL-1.0
#include "fault.hpp"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>

#include <cerrno>
#include <map>

namespace faults {
namespace {

struct Entry {
  const char* name;
  std::vector<int> errors;
  bool transfers = false;  ///< read(2), write(2) and their kin: `errors` are those of a file
};

const std::map<long, Entry> calls = {
    {SYS_accept4, {"accept4", {EMFILE, EINTR}}},
    {SYS_access, {"access", {EACCES, ENOENT}}},
    {SYS_bind, {"bind", {EADDRINUSE, EACCES}}},
    {SYS_chdir, {"chdir", {EACCES, ENOENT}}},
    {SYS_chmod, {"chmod", {EPERM, EROFS}}},
    {SYS_chown, {"chown", {EPERM, EROFS}}},
    {SYS_chroot, {"chroot", {EPERM, ENOENT}}},
    {SYS_clock_nanosleep, {"clock_nanosleep", {EINTR}}},
    {SYS_clone, {"clone", {EAGAIN, ENOMEM}}},
    {SYS_clone3, {"clone3", {EAGAIN, ENOMEM}}},
    {SYS_close, {"close", {EIO, EINTR}}},
    {SYS_close_range, {"close_range", {ENOSYS, EPERM}}},
    {SYS_connect, {"connect", {ECONNREFUSED, ENOENT, EAGAIN}}},
    {SYS_dup, {"dup", {EMFILE}}},
    {SYS_dup2, {"dup2", {EMFILE, EBUSY, EINTR}}},
    {SYS_dup3, {"dup3", {EMFILE, EBUSY, EINTR}}},
    {SYS_epoll_create1, {"epoll_create1", {EMFILE}}},
    {SYS_eventfd2, {"eventfd2", {EMFILE, ENOMEM}}},
    {SYS_execve, {"execve", {ENOENT, ENOMEM}}},
    {SYS_faccessat2, {"faccessat2", {EACCES, ENOSYS}}},
    {SYS_fchdir, {"fchdir", {EACCES}}},
    {SYS_fchmod, {"fchmod", {EPERM, EROFS}}},
    {SYS_fchmodat, {"fchmodat", {EPERM, EROFS}}},
    {SYS_fchown, {"fchown", {EPERM, EROFS}}},
    {SYS_fchownat, {"fchownat", {EPERM, EROFS}}},
    {SYS_fcntl, {"fcntl", {}}},
    {SYS_flock, {"flock", {EWOULDBLOCK, ENOLCK}}},
    {SYS_fork, {"fork", {EAGAIN, ENOMEM}}},
    {SYS_fstat, {"fstat", {EIO, EOVERFLOW}}},
    {SYS_fstatfs, {"fstatfs", {ENOSYS}}},
    {SYS_ftruncate, {"ftruncate", {EIO, EROFS, EINTR}}},
    {SYS_getdents64, {"getdents64", {ENOENT}}},
    {SYS_getgroups, {"getgroups", {EINVAL}}},
    {SYS_getpeername, {"getpeername", {ENOTCONN}}},
    {SYS_getpriority, {"getpriority", {EACCES}}},
    {SYS_getrandom, {"getrandom", {EINTR, ENOSYS}}},
    {SYS_getsockname, {"getsockname", {ENOBUFS}}},
    {SYS_getsockopt, {"getsockopt", {ENOPROTOOPT}}},
    {SYS_inotify_add_watch, {"inotify_add_watch", {ENOSPC, ENOENT}}},
    {SYS_inotify_init1, {"inotify_init1", {EMFILE}}},
    {SYS_ioctl, {"ioctl", {ENOTTY, EIO}}},
    {SYS_kill, {"kill", {EPERM}}},
    {SYS_listen, {"listen", {EADDRINUSE}}},
    {SYS_lseek, {"lseek", {ESPIPE}}},
    {SYS_lstat, {"lstat", {EACCES, ENOENT}}},
    {SYS_madvise, {"madvise", {EINVAL, ENOMEM}}},
    {SYS_memfd_create, {"memfd_create", {EMFILE, ENOSYS}}},
    {SYS_mkdir, {"mkdir", {EACCES, ENOSPC, EEXIST}}},
    {SYS_mkdirat, {"mkdirat", {EACCES, ENOSPC, EEXIST}}},
    {SYS_mmap, {"mmap", {ENOMEM}}},
    {SYS_mprotect, {"mprotect", {ENOMEM}}},
    {SYS_munmap, {"munmap", {ENOMEM}}},
    {SYS_newfstatat, {"newfstatat", {EACCES, ENOENT}}},
    {SYS_open, {"open", {EACCES, EMFILE, ENOENT, EINTR}}},
    {SYS_openat, {"openat", {EACCES, EMFILE, ENOENT, EINTR}}},
    {SYS_pidfd_open, {"pidfd_open", {EMFILE, ENOSYS}}},
    {SYS_pidfd_send_signal, {"pidfd_send_signal", {EPERM, ENOSYS}}},
    {SYS_pipe2, {"pipe2", {EMFILE}}},
    {SYS_poll, {"poll", {EINTR, ENOMEM}}},
    {SYS_ppoll, {"ppoll", {EINTR, ENOMEM}}},
    {SYS_prctl, {"prctl", {EINVAL, EPERM}}},
    {SYS_pread64, {"pread64", {EIO, EINTR}, true}},
    {SYS_prlimit64, {"prlimit64", {EPERM}}},
    {SYS_pwrite64, {"pwrite64", {EIO, ENOSPC, EINTR}, true}},
    {SYS_read, {"read", {EIO, EINTR}, true}},
    {SYS_readlink, {"readlink", {EACCES, ENOENT}}},
    {SYS_readlinkat, {"readlinkat", {EACCES, ENOENT}}},
    {SYS_recvfrom, {"recvfrom", {EINTR, ENOMEM}}},
    {SYS_recvmsg, {"recvmsg", {EINTR, ENOMEM}}},
    {SYS_rename, {"rename", {EACCES, ENOSPC}}},
    {SYS_rmdir, {"rmdir", {EBUSY, EACCES}}},
    {SYS_rt_sigaction, {"rt_sigaction", {EINVAL}}},
    {SYS_rt_sigtimedwait, {"rt_sigtimedwait", {EINTR}}},
    {SYS_sendmsg, {"sendmsg", {EAGAIN, ENOBUFS, ECONNREFUSED, EINTR}}},
    {SYS_sendto, {"sendto", {EAGAIN, ENOBUFS, ECONNREFUSED, EINTR}}},
    {SYS_setgroups, {"setgroups", {EPERM}}},
    {SYS_setpriority, {"setpriority", {EACCES}}},
    {SYS_setresgid, {"setresgid", {EPERM}}},
    {SYS_setresuid, {"setresuid", {EPERM, EAGAIN}}},
    {SYS_setsid, {"setsid", {EPERM}}},
    {SYS_setsockopt, {"setsockopt", {ENOPROTOOPT, ENOBUFS}}},
    {SYS_sigaltstack, {"sigaltstack", {ENOMEM}}},
    {SYS_socket, {"socket", {EMFILE, EAFNOSUPPORT}}},
    {SYS_socketpair, {"socketpair", {EMFILE}}},
    {SYS_stat, {"stat", {EACCES, ENOENT}}},
    {SYS_statx, {"statx", {EACCES, ENOENT, ENOSYS}}},
    {SYS_unlink, {"unlink", {EACCES, EBUSY}}},
    {SYS_unlinkat, {"unlinkat", {EACCES, EBUSY}}},
    {SYS_vfork, {"vfork", {EAGAIN, ENOMEM}}},
    {SYS_wait4, {"wait4", {EINTR}}},
    {SYS_waitid, {"waitid", {EINTR}}},
    {SYS_write, {"write", {EIO, ENOSPC, EINTR}, true}},
    {SYS_writev, {"writev", {EIO, ENOSPC, EINTR}, true}},
};

std::vector<int> errors_of_fcntl(int command) {
  switch (command) {
    case F_DUPFD:
    case F_DUPFD_CLOEXEC:
      return {EMFILE};
    case F_SETLK:
    case F_OFD_SETLK:
      return {EAGAIN, ENOLCK};
    case F_GETLK:
    case F_OFD_GETLK:
      return {ENOLCK};
    case F_ADD_SEALS:
      return {EPERM};
    default:
      return {};
  }
}

// A pipe has no medium that could fail, and an eventfd can only be full.
std::vector<int> errors_of(long call, int target) {
  if (call == SYS_fcntl) return errors_of_fcntl(target);
  const auto found = calls.find(call);
  if (found == calls.end()) return {};
  if (!found->second.transfers || target == static_cast<int>(Target::file)) return found->second.errors;
  return target == static_cast<int>(Target::pipe) ? std::vector<int>{EINTR} : std::vector<int>();
}

}  // namespace

std::string to_string(const Fault& fault) {
  const std::string when = fault.for_ever ? " for ever" : "";
  switch (fault.kind) {
    case Kind::error:
      return ::strerrorname_np(fault.error) + when;
    case Kind::short_one:
      return "short" + when;
    case Kind::kill:
      return "SIGKILL";
    case Kind::terminate:
      return "SIGTERM";
    case Kind::pause:
      return "SIGSTOP";
  }
  return {};
}

std::string name_of(long call) {
  const auto found = calls.find(call);
  return found == calls.end() ? "call " + std::to_string(call) : found->second.name;
}

std::vector<Fault> faults_of(long call, int target) {
  std::vector<Fault> all = {{.kind = Kind::kill}, {.kind = Kind::terminate}, {.kind = Kind::pause}};
  for (const int error : errors_of(call, target)) {
    all.push_back({.error = error});
    // A call that is interrupted for ever is no fault of a system.
    if (error != EINTR) all.push_back({.error = error, .for_ever = true});
  }
  const auto found = calls.find(call);
  if (found == calls.end() || !found->second.transfers || target == static_cast<int>(Target::other))
    return all;
  all.push_back({.kind = Kind::short_one});
  all.push_back({.kind = Kind::short_one, .for_ever = true});
  return all;
}

bool fails_afterwards(long call) { return call == SYS_close || call == SYS_munmap; }

}  // namespace faults
