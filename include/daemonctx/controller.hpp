// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <csignal>
#include <functional>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "daemonctx/daemon_status.hpp"
#include "daemonctx/detail/chrono.hpp"
#include "daemonctx/export.hpp"
#include "daemonctx/path.hpp"
#include "daemonctx/progress.hpp"
#include "daemonctx/timeout.hpp"
#include "daemonctx/upgrade_options.hpp"

namespace daemonctx {

/// One step of a stop: the signal to send, and how long to wait for the daemon's end.
struct StopStep {
  int signal = SIGTERM;
  Timeout wait = {};
};

/// The steps of a stop, in order; the stop is over when the daemon has ended.
using StopPolicy = std::vector<StopStep>;

/// Sends SIGTERM, waits `before_kill`, then sends SIGKILL and waits 5 s. Zero: SIGKILL follows at once.
/// `forever`: no SIGKILL.
DAEMONCTX_EXPORT StopPolicy stop_policy(Timeout before_kill = std::chrono::seconds(10));

/// How a daemon ended; with `DaemonOptions::respawn` its last worker.
struct DaemonEnd {
  int exit_code = 0;  ///< if no signal ended it
  int signal = 0;     ///< the signal that ended it, or 0
  bool core_dumped = false;
};

/// "exited with code 3", "was killed by SIGSEGV (core dumped)".
DAEMONCTX_EXPORT std::string to_string(const DaemonEnd& end);

struct StopResult {
  pid_t pid = 0;
  int signal = 0;  ///< the last signal sent before the daemon ended
  std::chrono::milliseconds took = {};
  /// How it ended, where the kernel tells of processes that are no children (Linux 6.15).
  std::optional<DaemonEnd> end = {};
};

/// The function that `Controller::restart` calls to start the new daemon.
using Start = std::function<int(const StopResult& stopped)>;

struct ReloadResult {
  pid_t pid = 0;
  std::string refusal = {};  ///< if the daemon refused its new configuration: its text, up to about 240 bytes
};

/// A failed operation of a `Controller`. `what()` is one line that names the file and the reason. If the
/// daemon refused a reload, `what()` is the daemon's own text.
class DAEMONCTX_EXPORT ControlError : public std::system_error {
 public:
  ControlError(std::error_code code, const std::string& text) : std::system_error(code), text_(text) {}

  const char* what() const noexcept override { return text_.what(); }

 private:
  std::runtime_error text_;  // not a string: copying an exception must not throw
};

/// Controls a running daemon through its pidfile. The kernel names the process: the holder of the identity
/// lock. A signal reaches only that process; neither forged text nor a reused pid can divert it.
///
/// Each operation has two overloads: one throws a `ControlError`, the other sets `error` to the same code.
/// All operations but `status` and `remove_stale_pidfile` fail with
/// - `std::errc::no_such_process`: the daemon is not running (no failure of `restart`);
/// - `resource_unavailable_try_again`: a start is under way, and has no pid even after two seconds;
/// - `operation_not_permitted`: this user may not signal the daemon; `permission_denied`: this user may not
///   read the pidfile;
/// - `not_supported`: the daemon runs in another pid namespace, so no pid here names it;
/// - `bad_message`: the process that holds the lock can't be the daemon, and is left alone. It does not have
///   the pidfile open, or does not belong to the pidfile's owner (unless that is root);
/// - `too_many_symbolic_link_levels`, `too_many_links`: another daemon's pidfile may have been put in place
///   of this one;
/// - or the system's error.
///
/// A daemon may use a `Controller` on itself, and so may a worker of its monitor. Only `stop`, `restart` and
/// `reload` fail there, with `resource_deadlock_would_occur`: the process would wait for itself.
///
/// Reentrant.
class DAEMONCTX_EXPORT Controller {
 public:
  /// \param on_wait called in the calling thread while an operation waits.
  explicit Controller(Path pidfile, Progress on_wait = {});

  /// Reads the daemon's state. Creates, changes and locks nothing, so a start in another process is not
  /// disturbed. A pidfile that another user hides gives `unknown`, not an error.
  DaemonStatus status() const;
  DaemonStatus status(std::error_code& error) const noexcept;

  /// Continues a suspended daemon and its worker (SIGCONT), as `stop` and `reload` do.
  void send_signal(int signal) const;
  void send_signal(int signal, std::error_code& error) const noexcept;

  /// Stops the daemon, and waits for its end without polling.
  /// \throws ControlError, also with `timed_out`: the daemon outlived the policy.
  StopResult stop(const StopPolicy& policy = stop_policy()) const;
  StopResult stop(const StopPolicy& policy, std::error_code& error) const noexcept;

  /// Makes the daemon reload its configuration (SIGHUP), and waits until the daemon has accepted or refused
  /// it. A daemon that did not call `on_reload` gets no signal: SIGHUP would end it.
  /// \param longest_wait zero sends the signal without waiting for the outcome.
  /// \throws ControlError, also with `invalid_argument`: the daemon refused; `operation_canceled`: the daemon
  ///   ended meanwhile; `operation_not_supported`: the daemon does not support reload; `timed_out`: no
  ///   outcome yet.
  ReloadResult reload(Timeout longest_wait = std::chrono::seconds(30)) const;
  ReloadResult reload(Timeout longest_wait, std::error_code& error) const noexcept;

  /// Makes the daemon start a new version of its program, and waits until that is the service
  /// (`UpgradeOptions`), or the daemon says why not.
  /// \throws ControlError, also with `invalid_argument`: the new program failed, or the daemon refused;
  ///   `device_or_resource_busy`: another upgrade is under way; `operation_not_supported`: the daemon does
  ///   not support upgrades; `operation_canceled`: the daemon ended meanwhile; `timed_out`: no outcome yet.
  UpgradeResult upgrade(const UpgradeRequest& request = {},
                        Timeout longest_wait = std::chrono::minutes(2)) const;
  UpgradeResult upgrade(const UpgradeRequest& request, Timeout longest_wait,
                        std::error_code& error) const noexcept;

  /// Stops the daemon if it runs, then calls `start`, which must construct a `DaemonContext` with the same
  /// pidfile. `start` gets the result of the stop; its pid is 0 if no daemon was running. Between stop and
  /// start nobody holds the lock, and another start may win.
  /// \return the result of `start`. If `start` detaches, `restart` returns in the new daemon.
  /// \throws ControlError if the daemon could not be stopped, or with `file_exists` if another start won; and
  ///   what `start` throws. The overload with `error` stores a `std::system_error` there, and lets other
  ///   exceptions pass.
  int restart(const Start& start, const StopPolicy& policy = stop_policy()) const;
  int restart(const Start& start, const StopPolicy& policy, std::error_code& error) const;

  /// Removes the pidfile of a daemon that did not end cleanly (`DaemonState::stale`). Not needed before a
  /// start: a start takes the file over.
  /// \return false if there is no such file, or a daemon, a start or an orphaned worker uses it.
  /// \throws ControlError: `operation_not_permitted` for a file that can't be a pidfile, such as one that
  ///   holds more than a number; `too_many_symbolic_link_levels` and `too_many_links` as above; or the
  ///   system's error.
  bool remove_stale_pidfile() const;
  bool remove_stale_pidfile(std::error_code& error) const noexcept;

 private:
  Path pidfile_;
  Progress on_wait_;
};

}  // namespace daemonctx
