// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <optional>

namespace daemonctx::posix {

/// Takes the exclusion lock, which admits one daemon at a time: an open-file-description lock on byte 0, or
/// flock(2) where the system has none. The lock belongs to the open file description. A forked child shares
/// it, and closing the last copy of the descriptor releases it.
/// \return 0, EAGAIN if another open file description has the lock, or another errno.
int lock_exclusion(int fd) noexcept;

/// Takes the identity lock, by which the kernel knows the daemon's pid: a POSIX record lock on byte 1. The
/// lock belongs to this process alone, and is lost when the process closes any descriptor of the file.
/// \return 0 or an errno. \note Runs in the daemon before it may allocate.
int lock_identity(int fd) noexcept;

/// Gives all POSIX record locks up: identity, readiness, leaving, and what the lock board shows. The
/// exclusion lock stays.
void unlock_identity(int fd) noexcept;

/// Takes the readiness lock, by which others know that the daemon is ready: a POSIX record lock on byte 2.
/// \return 0 or an errno.
int lock_readiness(int fd) noexcept;

/// Takes or gives up the leaving lock, by which others know that the daemon was told to stop: a POSIX record
/// lock on byte 4. Async-signal-safe on Linux.
/// \return false if that fails, as while another process has a read lock on the byte. Other processes then
///   assume that the daemon is not stopping.
bool show_leaving(int fd, bool leaves) noexcept;

/// Takes the worker lock, by which others know that a worker lives: an open-file-description read lock on
/// byte 3. Several processes can have this lock, and `fd` need not be writable.
/// \return 0 or an errno; EINVAL where the system has no open-file-description locks.
int lock_as_worker(int fd) noexcept;

/// The holder of the identity lock.
struct IdentityHolder {
  bool held = false;
  pid_t pid = 0;  ///< 0: the holder has no number in this pid namespace
  int error = 0;  ///< an errno if the kernel could not be asked
};

/// These functions ask the kernel, and take and change nothing. `fd` may be read-only. They do not see
/// this process's own record locks. Only `has_worker` sees read locks, which any process that may read the
/// file can take.
IdentityHolder identity_holder(int fd) noexcept;
bool is_marked_ready(int fd) noexcept;

/// A read lock of another process counts, too: it may have kept the daemon from its leaving lock.
bool is_marked_leaving(int fd) noexcept;

/// Does not see read locks: whoever may read the file can't make a daemon look like one that leaves.
bool shows_leaving(int fd) noexcept;
bool has_worker(int fd) noexcept;

/// The pid of a process with a read lock on byte 0, 1 or 2; 0 if the system does not tell the pid. Empty: no
/// process has one. No daemon takes such a read lock, but the read lock keeps a daemon from taking its locks.
std::optional<pid_t> blocking_reader(int fd) noexcept;

/// Whether a process holds the exclusion lock. Always false where the system has no open-file-description
/// locks, since flock(2) locks can't be asked for.
bool is_excluded(int fd) noexcept;

}  // namespace daemonctx::posix
