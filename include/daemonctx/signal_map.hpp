// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <functional>
#include <map>
#include <variant>

namespace daemonctx {

/// What is known of a signal that arrived. Signals of one number that arrive before the first of them was
/// handled are handled once, with the last one's values, as the system does with its own pending signals.
/// Where several threads are hit at the same moment, the values are one of theirs.
struct SignalInfo {
  int number = 0;
  pid_t sender_pid = 0;  ///< 0 if the kernel sent it
  uid_t sender_uid = 0;
  int value = 0;           ///< of a signal sent by sigqueue(3), else 0
  bool by_kernel = false;  ///< of the terminal or a timer: no process sent it
};

/// What the library itself can do with a signal.
enum class StandardAction {
  /// Nothing happens. Done by an empty handler, not by SIG_IGN, so that the programs the service starts begin
  /// with the default; SIGCHLD alone is really ignored (the system then reaps the children).
  ignore,
  /// The system's default action.
  restore_default,
  /// Requests the stop, already in the handler and without SA_RESTART: a blocked sleep, accept or read ends
  /// with EINTR, `wait*()` returns true.
  terminate,
  /// Runs what `DaemonContext::on_reload` was given.
  reload,
  /// Opens the files of standard output and error anew, as `DaemonContext::reopen_output` does.
  reopen_output,
  /// Collects every child that has ended, and forgets its status.
  reap_children,
};

inline constexpr auto ignore = StandardAction::ignore;
inline constexpr auto restore_default = StandardAction::restore_default;
inline constexpr auto terminate = StandardAction::terminate;
inline constexpr auto reload = StandardAction::reload;
inline constexpr auto reopen_output = StandardAction::reopen_output;
inline constexpr auto reap_children = StandardAction::reap_children;

/// A standard action, or any callable. A callable is an ordinary function: it never runs inside a signal
/// handler, but in `wait*()`, in `dispatch()` or on the library's thread, and may do what it likes. What it
/// throws goes to `DaemonOptions::on_error`.
using SignalAction = std::variant<StandardAction, std::function<void(const SignalInfo&)>>;

/// Signal number to action.
using SignalMap = std::map<int, SignalAction>;

}  // namespace daemonctx
