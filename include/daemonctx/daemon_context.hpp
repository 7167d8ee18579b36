// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <optional>
#include <stop_token>
#include <string_view>
#include <type_traits>
#include <utility>

#include "daemonctx/cleanup_stack.hpp"
#include "daemonctx/daemon_options.hpp"
#include "daemonctx/detail/cleanup_visit.hpp"
#include "daemonctx/error.hpp"
#include "daemonctx/export.hpp"
#include "daemonctx/launch_mode.hpp"
#include "daemonctx/run.hpp"
#include "daemonctx/service_manager.hpp"
#include "daemonctx/timeout.hpp"

namespace daemonctx {

/// The scope in which the program is a daemon.
///
/// Three processes take part. The **caller** is what the user started: it enters the constructor and, unless
/// the start fails, leaves the process in it with `_exit(0)` once the daemon is ready. The **intermediate**
/// lives for microseconds. The **daemon** is where the constructor returns. When the mode is not
/// `LaunchMode::detached`, caller and daemon are one process.
///
/// Thread-safety: `on_exit`, `close_on_exit`, `notify_*`, `keep_alive`, `fail`, `stop_requested`,
/// `request_stop`, `stop_token`, `reopen_output`, `mode` and `pid` are thread-safe, the others reentrant.
/// Nothing here is async-signal-safe.
///
/// In a child that the daemon forks the context is inert: no member does anything there, `wait*()` returns
/// true at once and `stop_requested()` is false. The child holds no descriptor of the pidfile, and mapped
/// signals have their default action. A call that comes after the context's end does nothing either;
/// `stop_requested()` is then true. The destructor waits for members that other threads are in: at most
/// `cleanup_timeout`, or five seconds where none is set.
class DAEMONCTX_EXPORT DaemonContext {
 public:
  /// Becomes a daemon.
  ///
  /// \throws std::invalid_argument naming the option at fault; nothing has been changed.
  /// \throws std::logic_error if a context is already open in this process.
  /// \throws DaemonError in the caller, for a failure on either side; no process of the daemon's process
  ///   group, no pidfile and no lock is left. In the foreground, after a change of user that may not write
  ///   there, the pidfile is left empty.
  [[nodiscard]] explicit DaemonContext(DaemonOptions options = {});

  /// Ends the daemon's work: tells the service manager, runs the cleanups (last first), removes the pidfile,
  /// puts the signal dispositions and the mask back. (After a stop request a detached daemon ignores further
  /// SIGTERM, SIGINT and SIGHUP until it exits.) The same happens, once, on `std::exit`, and on an uncaught
  /// exception in the thread that made the context. An uncaught exception in another thread is reported in
  /// one line and removes the pidfile, but runs no cleanups: other threads still use what they would destroy.
  /// On `_exit`, `quick_exit` and `abort` nothing runs, but the kernel drops the locks.
  ///
  /// One thread runs the end. Another that comes late (it leaves the scope, calls `std::exit`, dies of an
  /// exception) waits for the running cleanup, at most `cleanup_timeout`, or five seconds where none is set.
  /// Then the rest is given up, as for a cleanup that hangs: see `DaemonOptions::cleanup_timeout`. The first
  /// who ends the process decides its status.
  ~DaemonContext();

  DaemonContext(const DaemonContext&) = delete;
  DaemonContext& operator=(const DaemonContext&) = delete;

  /// Registers a callable to run at the end. What it refers to must live longer than the context: an object
  /// made after the context is gone before its cleanups run.
  template <class F>
  Cleanup on_exit(F&& callable) {
    const detail::CleanupVisit visit(this);
    if (visit.cleanups() == nullptr) return {};
    return visit.cleanups()->push(std::forward<F>(callable));
  }

  /// Calls `connection.close()` at the end, or `connection->close()` for a smart pointer, which is kept. An
  /// lvalue is referred to and must live longer than the context; an rvalue is moved in.
  template <class Connection>
  Cleanup close_on_exit(Connection&& connection) {
    if constexpr (requires { connection.close(); } && std::is_lvalue_reference_v<Connection>) {
      return on_exit([target = &connection] { target->close(); });
    } else {
      return on_exit([owned = std::decay_t<Connection>(std::forward<Connection>(connection))]() mutable {
        if constexpr (requires { owned.close(); }) owned.close();
        else owned->close();
      });
    }
  }

  /// Maps SIGHUP to `reload`, which may be replaced at any time, also by itself. If it throws, the text goes
  /// to `on_error` and to the service manager's status; the service goes on as it was.
  void on_reload(std::function<void()> reload);

  /// With `Readiness::when_notified`: redirects output and error, releases the caller, tells the service
  /// manager. Further calls do nothing.
  /// \throws DaemonError (`become_ready`, `broken_pipe`) if the caller is gone: the start was cut off, and
  ///   nobody knows of this daemon; (`become_ready`, `operation_canceled`) after `fail()`; (`redirect_stdio`)
  ///   with the system's error.
  void notify_ready();

  /// A line for the service manager to show. Nothing happens without one.
  void notify_status(std::string_view text) noexcept;

  /// Tells the service manager's watchdog that the service is alive. Nothing happens without one. `wait*()`
  /// does it when half of the watchdog's time has passed; a service with an event loop of its own does it
  /// there.
  void keep_alive() noexcept;

  /// What else can be said to the service manager, and what it passed on. Not to be used after the context.
  ServiceManager manager() noexcept;

  /// Adds or replaces an entry of the signal map. \throws std::invalid_argument, std::system_error
  void map_signal(int number, SignalAction action);

  /// Reports that the service can't do its work, and requests the stop. Before the daemon is ready the text
  /// is thrown in the caller (as `DaemonError`, step `run_service`), afterwards it goes to `on_error`.
  void fail(std::string_view text) noexcept;

  /// Runs signal actions until a stop is requested.
  void wait();

  /// The same, for so long at most. True if a stop is requested.
  bool wait_for(Timeout timeout);
  template <class Duration>
  bool wait_until(std::chrono::time_point<std::chrono::steady_clock, Duration> time) {
    return wait_until_since_epoch(time.time_since_epoch());
  }

  bool stop_requested() const noexcept;

  /// Lets `wait*()` return true, in every thread that is in it.
  void request_stop() noexcept;

  /// Follows `stop_requested()` as soon as `wait*()`, `dispatch()` or the library's thread has seen a signal.
  std::stop_token stop_token() const noexcept;
  /// Readable while signals wait for `dispatch()`: for poll, epoll and event loops. Not to be read or closed.
  int signal_fd() const noexcept;

  /// Runs the actions of the signals that have arrived; never blocks.
  void dispatch();

  /// Opens the files of standard output and error anew, for log rotation.
  /// \throws DaemonError (`open_stdio`, `redirect_stdio`); the old files stay in use.
  void reopen_output();
  LaunchMode mode() const noexcept;
  /// The daemon's process id; with `respawn` the worker's.
  pid_t pid() const noexcept;
  /// Which worker this is, from 1, and how the one before it ended. Without `respawn` 1 and nothing.
  unsigned incarnation() const noexcept;
  std::optional<WorkerEnd> last_exit() const noexcept;

  struct [[gnu::visibility("hidden")]] Impl;

 private:
  bool wait_until_since_epoch(Timeout time);  ///< of the steady clock
};

}  // namespace daemonctx
