// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <boost/filesystem/path.hpp>
#include <vector>

#include "daemonctx/timeout.hpp"
#include "posix/progress_ticker.hpp"
#include "process/private_fd.hpp"

namespace daemonctx {

/// The file that admits one daemon at a time and names it. Kernel locks decide, never the text (locks.hpp):
/// the exclusion lock is taken by the caller and inherited, the identity lock is taken by the daemon. A
/// forked child has no descriptor of the file, and keeps no lock.
class Pidfile {
 public:
  /// None.
  Pidfile() noexcept = default;

  /// Opens or creates the file and takes the exclusion lock. What the file holds is left alone.
  ///
  /// Accepted is a regular file with one link, owned by this user or root, that nobody else may write; its
  /// mode becomes the given one. A symbolic link is not followed.
  /// \param timeout how long to wait for a lock that somebody else holds.
  /// \param ticker told while that lasts.
  /// \param waiting_mask the signal mask during that; nullptr: the one in force.
  /// \throws DaemonError: `open_pidfile`, with the system's error or the property that is wrong;
  ///   `lock_pidfile` with `std::errc::file_exists` if somebody else has the lock, and that process's pid if
  ///   it has one yet.
  /// \note Runs in the caller.
  static Pidfile lock(const boost::filesystem::path& path, mode_t mode, Timeout timeout, Ticker& ticker,
                      const sigset_t* waiting_mask = nullptr);

  /// Makes sure that `lock` could use the file, whoever holds it. Creates and locks nothing.
  /// \throws DaemonError (`open_pidfile`).
  static void check(const boost::filesystem::path& path);

  /// Takes the identity lock and writes the pid. \return 0 or an errno; EBUSY if another thread of this
  /// process goes on looking at the file.
  /// \note Runs in the daemon before it may allocate.
  int claim() noexcept;

  /// Lets others know that the daemon is ready. \return 0 or an errno.
  int mark_ready() noexcept;

  /// Writes the pid once more, for those who watch the file for changes.
  void rewrite_pid() noexcept;

  /// Removes the file if the path still leads to it, or empties it if the directory may not be written, and
  /// gives the locks up. Further calls do nothing.
  void remove() noexcept;

  /// For `leave_to_monitor`. \throws DaemonError (`open_pidfile`). \note Runs in the caller.
  void open_worker_handle();

  /// In a worker that was just forked: from now on the file is its monitor's, and `remove` only closes. The
  /// worker keeps the next start waiting as long as it lives, by a descriptor that is not the monitor's, and
  /// can't give its locks up.
  void leave_to_monitor() noexcept;

  /// Whether this process is a worker whose monitor, which claims a pidfile, is that one. Thread-safe.
  static bool is_left_to(pid_t monitor) noexcept;

  /// Whether this process itself claims it. Thread-safe.
  enum class Own { no, claimed, ready };
  static Own own(const boost::filesystem::path& path) noexcept;

  int fd() const noexcept { return fd_.get(); }
  explicit operator bool() const noexcept { return static_cast<bool>(fd_); }

  void append_descriptors(std::vector<int>& to) const;

 private:
  Pidfile(boost::filesystem::path path, process::PrivateFd fd) noexcept
      : path_(std::move(path)), fd_(std::move(fd)) {}

  void close() noexcept {
    fd_.reset();
    for_workers_.reset();
  }

  boost::filesystem::path path_;
  process::PrivateFd fd_;
  process::PrivateFd
      for_workers_;  // read-only; kept for ever: to close it would drop the locks of the process
  bool is_shared_ = false;
};

}  // namespace daemonctx
