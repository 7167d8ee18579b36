// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <optional>

namespace daemonctx::posix {

/// Takes the lock that admits one daemon at a time. It belongs to the open file description: a forked child
/// shares it, and it is gone when the last copy of the descriptor is closed. An open-file-description lock on
/// byte 0, or flock(2) where the system has none.
/// \return 0, EAGAIN if somebody else holds it, or another errno.
int lock_exclusion(int fd) noexcept;

/// Takes the lock by which the kernel knows the daemon's pid: a POSIX record lock on byte 1. It belongs to
/// this process alone, and is lost when the process closes any descriptor of the file.
/// \return 0 or an errno. \note Runs in the daemon before it may allocate.
int lock_identity(int fd) noexcept;

/// Takes the lock by which others know that the daemon is ready: another record lock, on byte 2.
/// \return 0 or an errno.
int lock_readiness(int fd) noexcept;

/// Takes the lock by which others know that a worker lives: an open-file-description lock for reading, on
/// byte 3. Several can have it, and `fd` need not be writable.
/// \return 0 or an errno; EINVAL where the system has no such locks.
int lock_as_worker(int fd) noexcept;

/// Who holds the identity lock.
struct IdentityHolder {
  bool held = false;
  pid_t pid = 0;  ///< 0: the holder has no number in this pid namespace
  int error = 0;  ///< an errno if that could not be asked
};

/// Each asks the kernel, and takes and changes nothing. `fd` may be read-only. Not seen: this process's own
/// locks, and read locks, which whoever may read the file can take.
IdentityHolder identity_holder(int fd) noexcept;
bool is_marked_ready(int fd) noexcept;
bool has_worker(int fd) noexcept;

/// A process with a read lock on one of the three bytes, which no daemon takes, but which keeps one from
/// taking its own; 0 if the system does not tell who. Empty: there is none.
std::optional<pid_t> blocking_reader(int fd) noexcept;

/// Whether somebody holds the exclusion lock. Where the system has no open-file-description locks that can't
/// be asked, and the answer is no.
bool is_excluded(int fd) noexcept;

}  // namespace daemonctx::posix
