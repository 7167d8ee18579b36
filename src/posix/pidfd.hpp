// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <optional>
#include <posix/syscalls.hpp>

#include "features.hpp"
#include "posix/retry.hpp"
#include "posix/unique_fd.hpp"

namespace daemonctx::posix {

/// A descriptor that names one process, never a later one with the same pid. Readable once the process has
/// ended. Empty, with errno, where the system has no pidfds (ENOSYS, EPERM) or no such process (ESRCH).
inline UniqueFd open_pidfd(pid_t pid) noexcept {
#if DAEMONCTX_HAVE_PIDFD
  return UniqueFd(static_cast<int>(posix::syscall(SYS_pidfd_open, pid, 0U)));
#else
  static_cast<void>(pid);
  errno = ENOSYS;
  return {};
#endif
}

/// \return 0 or an errno.
inline int send_signal(const UniqueFd& pidfd, int signal) noexcept {
#if DAEMONCTX_HAVE_PIDFD
  return error_of(posix::syscall(SYS_pidfd_send_signal, pidfd.get(), signal, nullptr, 0U));
#else
  static_cast<void>(pidfd), static_cast<void>(signal);
  return ENOSYS;
#endif
}

/// How a process ended that need not be a child: its wait status. Empty where the kernel does not tell
/// (before Linux 6.15). Call it once the descriptor is readable: the kernel tells it of a process that was
/// reaped, so this waits for that, at most a tenth of a second.
std::optional<int> wait_status_of(const UniqueFd& pidfd) noexcept;

}  // namespace daemonctx::posix
