// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <boost/filesystem/path.hpp>
#include <chrono>
#include <csignal>
#include <functional>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "daemonctx/export.hpp"
#include "daemonctx/progress.hpp"
#include "daemonctx/respawn_policy.hpp"
#include "daemonctx/timeout.hpp"

namespace daemonctx {

/// What the locks on a pidfile say. The text in the file is never believed.
enum class DaemonState {
  running,
  starting,  ///< a start is under way; there may be no pid yet
  stopped,   ///< there is no file, or an empty one: a daemon that could not remove it has emptied it
  stale,     ///< there is a file with something in it, and nobody holds its lock: the daemon did not end well
  unknown,   ///< this user may not read the file, or it can't be trusted
};

DAEMONCTX_EXPORT const char* to_string(DaemonState state) noexcept;

struct DaemonStatus {
  DaemonState state = DaemonState::stopped;
  pid_t pid = 0;  ///< 0 if it is not there, or has no number in this pid namespace
  std::optional<std::chrono::system_clock::time_point> since =
      {};  ///< when that process began, if /proc tells
  std::optional<WorkerStatus> worker =
      {};  ///< of a daemon with `DaemonOptions::respawn`, whose monitor `pid` is
};

/// One step of a stop: the signal to send, and how long to wait for the end.
struct StopStep {
  int signal = SIGTERM;
  Timeout wait = {};
};

/// Taken in order until the daemon has ended.
using StopPolicy = std::vector<StopStep>;

struct StopResult {
  pid_t pid = 0;
  int signal = 0;  ///< the one after which it ended
  std::chrono::milliseconds took = {};
};

/// What `Controller::restart` calls.
using Start = std::function<int(const StopResult& stopped)>;

struct ReloadResult {
  pid_t pid = 0;
  std::string refusal =
      {};  ///< the daemon's own text, to some 400 bytes, if it refused its new configuration
};

/// An operation that failed. `what()` is one line that names the file and the reason; for a reload that the
/// daemon refused it is the daemon's own text.
class DAEMONCTX_EXPORT ControlError : public std::system_error {
 public:
  ControlError(std::error_code code, const std::string& text) : std::system_error(code), text_(text) {}

  const char* what() const noexcept override { return text_.what(); }

 private:
  std::runtime_error text_;  // not a string: copying an exception must not throw
};

/// Acts on a running daemon through its pidfile. The kernel names the process (the holder of the identity
/// lock), and a signal goes to that process and no other: neither forged text nor a reused pid can divert it.
///
/// Each operation comes as a pair; the one with an error code sets it where the other throws a `ControlError`
/// of that code. All of them but `status` fail with
/// - `std::errc::no_such_process`: it is not running;
/// - `resource_unavailable_try_again`: a start is under way, and has no pid even after two seconds;
/// - `operation_not_permitted`: this user may not signal it; `permission_denied`: nor read the pidfile;
/// - `not_supported`: it runs, and has no number in this pid namespace;
/// - `bad_message`: the process that holds the lock does not have the file open, or is not one of the file's
///   owner (unless that is root): it can't be the daemon, and is left alone;
/// - `too_many_symbolic_link_levels`, `too_many_links`: another daemon's pidfile may have been put in its
///   place;
/// - or the system's error.
/// The daemon, and a worker of its monitor, may use them on itself, but for what it would have to wait for
/// (`resource_deadlock_would_occur`).
/// Reentrant.
class DAEMONCTX_EXPORT Controller {
 public:
  /// \param on_wait told in the calling thread while an operation waits.
  explicit Controller(boost::filesystem::path pidfile, Progress on_wait = {});

  /// Asks; neither creates nor changes nor locks anything, so a start elsewhere is not disturbed. What
  /// another user hides is `unknown`, and no error.
  DaemonStatus status() const;
  DaemonStatus status(std::error_code& error) const noexcept;

  void send_signal(int signal) const;
  void send_signal(int signal, std::error_code& error) const noexcept;

  /// Ends the daemon, waiting for its end without polling.
  /// \throws ControlError, also with `timed_out`: it outlived the policy.
  StopResult stop(const StopPolicy& policy = default_stop_policy()) const;
  StopResult stop(const StopPolicy& policy, std::error_code& error) const noexcept;

  /// SIGTERM and 10 s, then SIGKILL and 5 s.
  static StopPolicy default_stop_policy();

  /// Lets the daemon read its configuration again (SIGHUP), and waits until it has taken it or refused it.
  /// Nothing is sent to a daemon that did not call `on_reload`: the signal would end it.
  /// \param longest_wait zero: the signal is sent, and the outcome not waited for.
  /// \throws ControlError, also with `invalid_argument`: it refused; `operation_canceled`: it ended
  ///   meanwhile; `operation_not_supported`: it does not reload; `timed_out`: no outcome yet.
  ReloadResult reload(Timeout longest_wait = std::chrono::seconds(30)) const;
  ReloadResult reload(Timeout longest_wait, std::error_code& error) const noexcept;

  /// Stops the daemon if it runs, and calls `start`, which is to construct a `DaemonContext` with the same
  /// pidfile. It is told what the stop took; the pid is 0 if there was nothing to stop. Between the two
  /// nobody holds the lock, and another start may win.
  /// \return what `start` returned; where that detaches, in the new daemon.
  /// \throws ControlError if the daemon could not be stopped; with `file_exists`: another start won; and what
  ///   `start` throws. The other one puts in `error` what is a `std::system_error`, and lets pass the rest.
  int restart(const Start& start, const StopPolicy& policy = default_stop_policy()) const;
  int restart(const Start& start, const StopPolicy& policy, std::error_code& error) const;

 private:
  boost::filesystem::path pidfile_;
  Progress on_wait_;
};

}  // namespace daemonctx
