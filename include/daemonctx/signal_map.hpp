// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <functional>
#include <map>
#include <variant>

namespace daemonctx {

/// A signal that arrived. Signals of one number that arrive before the first is handled are handled once,
/// with the last one's values, as the system merges its own pending signals. If several threads receive a
/// signal at the same moment, the values are from one of them.
struct SignalInfo {
  int number = 0;
  pid_t sender_pid = 0;  ///< 0 if the kernel sent it
  uid_t sender_uid = 0;
  int value = 0;           ///< the value passed to sigqueue(3), else 0
  bool by_kernel = false;  ///< no process sent the signal, but the terminal or a timer
};

/// The actions that the library has for a signal: `.signal_map = {{SIGHUP, daemonctx::Action::reload}}`.
enum class Action {
  /// Nothing happens. The handler is empty instead of SIG_IGN, so that programs that the service starts begin
  /// with the default action. SIGCHLD gets SIG_IGN: the system then reaps the children. So do SIGTTIN and
  /// SIGTTOU in the foreground: job control would otherwise repeat a read for ever.
  ignore,
  /// The system's default action.
  restore_default,
  /// Requests the stop in the handler, without SA_RESTART: a blocked sleep, accept or read ends with EINTR,
  /// and `wait*()` returns true.
  terminate,
  /// Runs the function given to `DaemonContext::on_reload`.
  reload,
  /// Reopens the files of standard output and error, as `DaemonContext::reopen_output` does.
  reopen_output,
  /// Reaps every child that has ended, and drops its status.
  reap_children,
};

/// An `Action`, or any callable. A callable may call any function: it never runs inside a signal
/// handler, but in `wait*()`, in `dispatch()` or on the library's thread. An exception goes to
/// `DaemonOptions::on_error`.
using SignalAction = std::variant<Action, std::function<void(const SignalInfo&)>>;

/// Signal number to action.
using SignalMap = std::map<int, SignalAction>;

/// Which thread runs the actions.
enum class SignalDelivery {
  in_wait,        ///< actions run in the thread that calls `wait*()` or `dispatch()`
  on_own_thread,  ///< actions run on a thread of the library's own
};

}  // namespace daemonctx
