// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <csignal>
#include <functional>
#include <map>
#include <type_traits>
#include <utility>

#include "daemonctx/export.hpp"

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
  /// Runs the function given to `DaemonContext::on_reload`. But a service in the foreground stops when SIGHUP
  /// says that its terminal has hung up, unless it began with SIGHUP ignored (nohup(1)).
  reload,
  /// Reopens the files of standard output and error, as `DaemonContext::reopen_output` does.
  reopen_output,
  /// Replaces the service by a new version of its program, as `UpgradeOptions` says.
  upgrade,
  /// Reaps every child that has ended, and drops its status.
  reap_children,
};

/// An `Action`, or a function. The function may call anything: it never runs inside a signal handler, but in
/// `wait*()`, in `dispatch()` or on the library's thread. An exception goes to `DaemonOptions::on_error`.
class SignalAction {
 public:
  using Function = std::function<void(const SignalInfo&)>;

  SignalAction(Action action = Action::ignore) noexcept : action_(action) {}  // NOLINT(*-explicit-*)

  template <class F>
  requires std::is_invocable_v<F&, const SignalInfo&> SignalAction(F function)
      : is_function_(true), function_(std::move(function)) {}  // NOLINT(*-explicit-*)

  /// nullptr if this is a function.
  const Action* action() const noexcept { return is_function_ ? nullptr : &action_; }

  /// Empty if this is an `Action`.
  const Function& function() const noexcept { return function_; }

 private:
  Action action_ = Action::ignore;
  bool is_function_ = false;
  Function function_;
};

/// Signal number to action.
///
/// SIGHUP, SIGUSR1 and SIGUSR2 do not end a service before it can have mapped them. They are held until the
/// service is ready and has first called `wait*()`, `dispatch()` or `signal_fd()`. A held signal runs its
/// action as soon as one is mapped. At the end of the holding a signal without an action is dropped with one
/// line, and from then on such a signal has its default action. A signal that the program has blocked in the
/// foreground, ignores or handles itself is left alone.
using SignalMap = std::map<int, SignalAction>;

/// Which thread runs the actions.
enum class SignalDelivery {
  in_wait,        ///< actions run in the thread that calls `wait*()` or `dispatch()`
  on_own_thread,  ///< actions run on a thread of the library's own
};

}  // namespace daemonctx
