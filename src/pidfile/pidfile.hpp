// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <functional>
#include <vector>

#include "daemonctx/path.hpp"
#include "daemonctx/timeout.hpp"
#include "posix/progress_ticker.hpp"
#include "process/private_fd.hpp"

namespace daemonctx {

/// The file that admits one daemon at a time and names it. Kernel locks decide, never the text (locks.hpp).
/// The caller takes the exclusion lock, and the daemon inherits it. The daemon takes the identity lock. A
/// forked child has no descriptor of the file, and keeps no lock.
class Pidfile {
 public:
  /// No pidfile.
  Pidfile() noexcept = default;

  /// Opens or creates the file and takes the exclusion lock. The content of the file stays as it is.
  ///
  /// The file must be a regular file with one link, owned by this user or root, that nobody else may write.
  /// Its mode becomes `mode`. A symbolic link is not followed.
  /// \param timeout how long to wait for a holder of the lock that is starting or leaving. One that stays
  ///   gets two seconds at most.
  /// \param ticker ticks during the wait.
  /// \param waiting_mask the signal mask during the wait; nullptr: the current mask.
  /// \param before_wait called before each wait; it may throw to end the wait.
  /// \throws DaemonError: `open_pidfile`, with the system's error or the property that is wrong;
  ///   `lock_pidfile` with `std::errc::file_exists` if another process has the lock, and the holder's pid if
  ///   the kernel can name the holder yet.
  ///   A file that this call created is removed.
  /// \note Runs in the caller.
  static Pidfile lock(const Path& path, mode_t mode, Timeout timeout, Ticker& ticker,
                      const sigset_t* waiting_mask = nullptr, const std::function<void()>& before_wait = {});

  /// Checks that `lock` could use the file, even while a daemon holds it. Creates and locks nothing.
  /// \throws DaemonError (`open_pidfile`).
  static void check(const Path& path);

  /// Removes a stale pidfile: a file with content whose lock no process holds.
  /// \return false if the file is not stale.
  /// \throws DaemonError: as `lock`, or with the system's error if the file can't be removed.
  static bool remove_stale(const Path& path);

  /// Takes the identity lock and writes the pid. \return 0 or an errno; EBUSY if another thread of this
  /// process keeps a pidfile open to read.
  /// \note Runs in the daemon before it may allocate.
  int claim() noexcept;

  /// Takes over the file of a running daemon, whose exclusion lock came with the descriptor.
  /// \throws DaemonError (`open_pidfile`): the path leads to another file; (`lock_pidfile`)
  static Pidfile inherit(const Path& path, UniqueFd fd);

  /// Takes over the descriptor that this process's former program had for its workers.
  void inherit_worker_handle(UniqueFd fd) noexcept { for_workers_.reset(std::move(fd)); }

  /// In a new worker that its monitor has not forked, but executed: takes over the descriptor for workers.
  /// \throws DaemonError (`open_pidfile`): the path leads to another file.
  static Pidfile inherit_as_worker(const Path& path, UniqueFd fd, pid_t monitor);

  /// Gives the identity lock and all notices up, so that a successor can claim the file. Keeps the exclusion
  /// lock.
  void disclaim() noexcept;

  /// Closes the file, which now is a successor's, or was not claimed yet.
  void leave() noexcept;

  /// Shows to others that the daemon is ready. \return 0 or an errno.
  int mark_ready() noexcept;

  /// Names the process whose read lock made `mark_ready` fail; empty if that was another error.
  std::string reason_of(int error) const;

  /// Writes the pid once more, to wake processes that watch the file for changes.
  void rewrite_pid() noexcept;

  /// Whether the path leads to the file. While it does, the lock excludes other starts.
  bool is_in_place() const noexcept;

  /// Removes the file if the path still leads to it, or empties it if the directory may not be written. Gives
  /// the locks up. Further calls do nothing.
  void remove() noexcept;

  /// Opens the descriptor for `leave_to_monitor`.
  /// \throws DaemonError (`open_pidfile`). \note Runs in the caller.
  void open_worker_handle();
  int worker_handle() const noexcept { return for_workers_.get(); }

  /// Call it in a worker that was just forked. From now on the file is the monitor's, and `remove` only
  /// closes. The worker keeps the next start waiting as long as the worker lives. Its descriptor is not the
  /// monitor's, so the worker can't give the monitor's locks up.
  void leave_to_monitor() noexcept;

  /// Whether this process is a worker of `monitor`, and `monitor` claims a pidfile. Thread-safe.
  static bool is_left_to(pid_t monitor) noexcept;

  /// Whether this process itself claims the pidfile. Thread-safe.
  enum class Own { no, claimed, ready };
  static Own own(const Path& path) noexcept;

  int fd() const noexcept { return fd_.get(); }
  explicit operator bool() const noexcept { return static_cast<bool>(fd_); }

  void append_descriptors(std::vector<int>& to) const;

 private:
  Pidfile(Path path, process::PrivateFd fd) noexcept : path_(std::move(path)), fd_(std::move(fd)) {}

  void close() noexcept {
    fd_.reset();
    for_workers_.reset();
  }

  Path path_;
  process::PrivateFd fd_;
  process::PrivateFd for_workers_;  // read-only; stays open: closing it would drop the process's locks
  bool is_shared_ = false;
};

}  // namespace daemonctx
