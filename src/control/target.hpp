// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <system_error>

#include "daemonctx/controller.hpp"
#include "daemonctx/path.hpp"
#include "daemonctx/timeout.hpp"
#include "pidfile/locks.hpp"
#include "pidfile/pidfile_reader.hpp"
#include "posix/progress_ticker.hpp"
#include "posix/unique_fd.hpp"

namespace daemonctx {

enum class HolderCheck {
  credible,
  incredible,
  changed,  ///< the process no longer holds the lock
};

/// Whether a process that the kernel names as the holder of a pidfile's lock can be the daemon.
///
/// Locks outlive a process that shares its open files, and then name a later process with its pid. Others may
/// lock another user's file for reasons of their own. So the holder must have the file open. Unless root owns
/// the file, the holder's real user must own it. The holder held the lock before and after these checks.
/// Waits up to 1 s for an ending process.
HolderCheck check_holder(pid_t holder, int pidfile) noexcept;

/// The daemon that held the identity lock of a pidfile at one moment. With pidfds no call of a
/// member reaches another process. Without them the pid may be reused between a check and the call.
class Target {
 public:
  /// \param error `no_such_process`: no process holds the lock; `not_supported`: the holder has no pid in
  ///   this pid namespace; `bad_message`: the holder can't be the daemon (see `check_holder`);
  ///   `resource_unavailable_try_again`: a start is under way and has no pid even after 2 s; or an error of
  ///   the system.
  static Target find(const Path& pidfile, Ticker& ticker, std::error_code& error) noexcept;

  pid_t pid() const noexcept { return pid_; }

  /// True in the daemon itself. Then `file()` is -1, since closing it would drop the locks.
  bool is_self() const noexcept { return reader_.own() != Pidfile::Own::no; }

  /// True in the daemon and in its worker: a wait for the daemon there would be a wait for itself.
  bool is_own_service() const noexcept { return is_self() || Pidfile::is_left_to(pid_); }

  /// A descriptor of the pidfile, for reading.
  int file() const noexcept { return reader_.fd(); }

  /// A pidfd, readable once the daemon has ended. -1 where the system has none; then poll `has_ended`.
  int end_fd() const noexcept { return process_.get(); }
  bool has_ended() const noexcept;

  /// How it ended; empty where the system does not tell. Call it after the end.
  /// \param is_supervised it is a monitor, whose exit code is 128 + the signal that ended its worker.
  std::optional<DaemonEnd> end(bool is_supervised) const noexcept;

  /// Sends a signal, and SIGCONT after it where that is needed.
  /// \return 0 or an errno; ESRCH if the daemon has ended.
  int send(int signal) const noexcept;

  /// Calls `read`, which returns what the daemon shows of a thing that it offers, or an empty optional.
  /// \param error if the result is empty: `operation_not_supported`; or `resource_unavailable_try_again`, if
  ///   the daemon is not ready, has ended, or gives its pidfile to a successor.
  template <class Read>
  auto read_offer(Read&& read, std::error_code& error) const {
    auto offer = read();
    if (offer) return offer;
    const bool is_ready = posix::is_marked_ready(file());  // a daemon is marked ready after it has shown it
    offer = read();
    if (!offer) {
      const bool stays = is_ready && holds_lock();
      error = std::make_error_code(stays ? std::errc::operation_not_supported
                                         : std::errc::resource_unavailable_try_again);
    }
    return offer;
  }

  /// Waits for the end of the daemon. \return whether it ended in time.
  bool await_end(Timeout longest, Ticker& ticker) const noexcept;

  /// Waits until the pidfile changes or the daemon ends; or less long, so ask again.
  /// \param watch of `posix::watch_writes`; may be empty
  /// \param ended its end is known, and is not waited for
  void await_change(const UniqueFd& watch, posix::Clock::time_point deadline,
                    bool ended = false) const noexcept;

 private:
  static Target find_once(const Path& pidfile, std::error_code& error) noexcept;
  void identify(std::error_code& error) noexcept;
  bool holds_lock() const noexcept;
  int send_one(int signal) const noexcept;

  PidfileReader reader_;
  UniqueFd process_;
  pid_t pid_ = 0;
};

/// The longest sleep where no descriptor reports an event, as without pidfds.
inline constexpr std::chrono::milliseconds blind_slice{10};

}  // namespace daemonctx
