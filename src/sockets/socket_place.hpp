// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>

#include "daemonctx/socket.hpp"
#include "posix/unique_fd.hpp"
#include "safe_path/trusted_path.hpp"

namespace daemonctx {

/// Where a socket file lies or will lie: its open directory, and names that others can't redirect.
///
/// bind(2), connect(2) and chmod(2) take no directory descriptor. If only root and this user can change the
/// directories on the way, the names are plain paths, which tools such as ss(8) show. Otherwise the names
/// lead through descriptors in /proc/self/fd.
class SocketPlace {
 public:
  /// \throws DaemonError (`open_sockets`).
  explicit SocketPlace(const ListenSocket& socket);

  int directory() const noexcept { return entry_.directory.get(); }
  const char* name() const noexcept { return entry_.name.data(); }

  /// The path of the entry, whatever it is by then.
  std::string way() const;

  /// The path of the entry that `entry` has opened.
  std::string way_to(const UniqueFd& entry) const;

  /// Opens the entry itself with O_PATH. Empty, with errno, on failure.
  UniqueFd open_entry() const noexcept;

 private:
  posix::DirectoryEntry entry_;
  std::string guarded_path_;  // empty if others can change a directory on the way, or if it is too long
};

/// Excludes other starts of this library from a place, until its destructor. Without it, two starts could
/// both find a stale file; the slower one would then remove the other's new socket.
///
/// An empty file of this user's beside the socket is locked: a lock on the directory could be held by
/// everybody. Whatever else has the file's name is refused, and stays.
class PlaceLock {
 public:
  /// \param directory must stay open.
  PlaceLock(int directory, const std::string& name) : directory_(directory), name_('.' + name + ".lock") {}
  ~PlaceLock();
  PlaceLock(const PlaceLock&) = delete;
  PlaceLock& operator=(const PlaceLock&) = delete;

  /// Waits at most a second. \return 0 or an errno; EAGAIN if another start holds the lock, EPERM if
  /// something else has the lock file's name.
  int lock() noexcept;

  const std::string& name() const noexcept { return name_; }

 private:
  int try_lock() noexcept;
  int open_file(bool& is_new) noexcept;
  int lock_file() noexcept;

  int directory_;
  std::string name_;
  UniqueFd file_ = {};
  bool owns_file_ = false;
};

}  // namespace daemonctx
