// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <boost/filesystem/path.hpp>
#include <chrono>

#include "ticker.hpp"
#include "unique_fd.hpp"

namespace daemonctx {

/// The file that admits one daemon at a time and names it. Kernel locks decide, never the text (file_lock.hpp):
/// the exclusion lock is taken by the caller and inherited, the identity lock is taken by the daemon.
class Pidfile {
 public:
  /// None.
  Pidfile() noexcept = default;

  /// Opens or creates the file and takes the exclusion lock. What the file holds is left alone.
  ///
  /// Accepted is a regular file with one link, owned by this user or root, that nobody else may write; its mode
  /// becomes 0644. A symbolic link is not followed.
  /// \param timeout how long to wait for a lock that somebody else holds.
  /// \param ticker told while that lasts.
  /// \throws DaemonError: `open_pidfile`, with the system's error or the property that is wrong; `lock_pidfile`
  ///         with `std::errc::file_exists` if somebody else has the lock, and that process's pid if it has
  ///         one yet.
  /// \note Runs in the caller.
  static Pidfile lock(const boost::filesystem::path& path, std::chrono::milliseconds timeout, Ticker& ticker);

  /// Takes the identity lock and writes the pid. \return 0 or an errno.
  /// \note Runs in the daemon before it may allocate.
  int claim() noexcept;

  /// Lets others know that the daemon is ready. \return 0 or an errno.
  int mark_ready() noexcept;

  /// Writes the pid once more, for those who watch the file for changes.
  void touch() noexcept;

  /// Removes the file if the path still leads to it, or empties it if the directory may not be written, and
  /// gives the locks up. Further calls do nothing.
  void remove() noexcept;

  /// Closes the descriptor, which gives up no lock that another process shares. For forked children.
  void abandon() noexcept { fd_.reset(); }

  /// What this process itself claims.
  enum class Own { no, claimed, ready };

  /// To be asked before the file is opened for a look at it: were it this process's own, closing it would drop
  /// the locks. Thread-safe.
  static Own own(const boost::filesystem::path& path) noexcept;

  int fd() const noexcept { return fd_.get(); }
  explicit operator bool() const noexcept { return static_cast<bool>(fd_); }

 private:
  Pidfile(boost::filesystem::path path, UniqueFd fd) noexcept : path_(std::move(path)), fd_(std::move(fd)) {}

  boost::filesystem::path path_;
  UniqueFd fd_;
};

}  // namespace daemonctx
