// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>

#include "daemonctx/cleanup.hpp"
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
/// A start has three processes. The **caller** is the process that the user started. Once the daemon is
/// ready, the caller leaves the constructor with `_exit(0)`; if the start fails, the constructor throws
/// there. The **intermediate** lives for microseconds. The **daemon** is the process in which the constructor
/// returns. In the other modes (see `LaunchMode`) caller and daemon are one process, unless `respawn` makes
/// the caller the monitor.
///
/// Thread-safety: `on_exit`, `close_on_exit`, `notify_*`, `keep_alive`, `fail`, `stop_requested`,
/// `request_stop`, `reopen_output`, `mode` and `pid` are thread-safe; all other members are
/// reentrant. No member is async-signal-safe.
///
/// In a child that the daemon forks, the context is inert: no member does anything, `wait*()` returns true at
/// once and `stop_requested()` returns false. The child holds no descriptor of the pidfile, and mapped
/// signals have their default action. A call after the context's end does nothing either; `stop_requested()`
/// then returns true. The destructor waits for members that other threads are still in, at most
/// `cleanup_timeout`, or five seconds if none is set.
class DAEMONCTX_EXPORT DaemonContext {
 public:
  /// Becomes a daemon.
  ///
  /// \throws std::invalid_argument, naming the wrong option; nothing has been changed.
  /// \throws std::logic_error if a context is already open in this process.
  /// \throws DaemonError in the caller, also for a failure in the daemon. No process of the daemon's process
  ///   group, no pidfile and no lock is left. In the foreground, if the new user may not write the pidfile's
  ///   directory, the pidfile is left empty.
  [[nodiscard]] explicit DaemonContext(DaemonOptions options = {});

  /// Ends the daemon's work: tells the service manager, runs the cleanups (last first), removes the pidfile,
  /// and restores the signal dispositions and the mask. After a stop request a detached daemon ignores
  /// further SIGTERM, SIGINT and SIGHUP until it exits. `std::exit`, and an uncaught exception in the thread
  /// that made the context, run the same steps, once. An uncaught exception in another thread is reported in
  /// one line and removes the pidfile. It runs no cleanups: other threads still use what cleanups would
  /// destroy. `_exit`, `quick_exit` and `abort` run nothing, but the kernel drops the locks.
  ///
  /// One thread runs the end. A second thread that leaves the scope, calls `std::exit` or dies of an
  /// exception waits for the running cleanup, at most `cleanup_timeout`, or five seconds if none is set. Then
  /// the remaining steps are given up, as for a cleanup that hangs: see `DaemonOptions::cleanup_timeout`. The
  /// first thread to end the process decides its exit code.
  ~DaemonContext();

  DaemonContext(const DaemonContext&) = delete;
  DaemonContext& operator=(const DaemonContext&) = delete;

  /// Registers a callable to run at the end. Every object that it refers to must outlive the context: an
  /// object made after the context is destroyed before the cleanups run.
  template <class F>
  Cleanup on_exit(F&& callable) {
    const detail::CleanupVisit visit(this);
    if (visit.cleanups() == nullptr) return {};
    return visit.cleanups()->push(std::forward<F>(callable));
  }

  /// Calls `connection.close()` at the end, or `connection->close()` for a smart pointer, which is copied or
  /// moved in. Any other lvalue is kept by reference and must outlive the context; an rvalue is moved in.
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

  /// Maps SIGHUP to `reload`. A later call replaces `reload`, also from inside it. If `reload` throws, the
  /// text goes to `on_error` and to the service manager's status, and the service goes on as before.
  /// \throws std::system_error in a worker that can't reach its monitor. The monitor then keeps SIGHUP back.
  void on_reload(std::function<void()> reload);

  /// With `Readiness::when_notified`: redirects output and error, tells the service manager and releases the
  /// caller. Further calls do nothing.
  /// \throws DaemonError (`become_ready`, `broken_pipe`) if the caller is gone: the start was cut off, and
  ///   nobody knows of this daemon; (`become_ready`, `operation_canceled`) after `fail()`; (`redirect_stdio`,
  ///   `write_pidfile`, or `become_ready` in a worker) with the system's error.
  void notify_ready();

  /// Sends the service manager a line to show. Does nothing without a manager.
  void notify_status(std::string_view text) noexcept;

  /// Tells the service manager's watchdog, and the monitor (`hang_timeout`), that the service is alive.
  /// `wait*()` calls it at half of their timeout; a service with its own event loop must call it itself.
  void keep_alive() noexcept;

  /// Other messages to the service manager, and what the manager passed on.
  ServiceManager manager() noexcept;

  /// Adds or replaces an entry of the signal map. \throws std::invalid_argument; std::system_error, also in a
  /// worker that can't reach its monitor: the monitor then does not pass the signal on.
  void map_signal(int number, SignalAction action);

  /// Reports that the service can't do its work, and requests the stop. If a caller still
  /// waits, it throws the text (`DaemonError`, step `run_service`); otherwise the text goes to `on_error`.
  void fail(std::string_view text) noexcept;

  /// Runs signal actions until a stop is requested.
  void wait();

  /// Like `wait()`, but for at most `timeout`. True if a stop is requested.
  bool wait_for(Timeout timeout);
  template <class Duration>
  bool wait_until(std::chrono::time_point<std::chrono::steady_clock, Duration> time) {
    return wait_until_since_epoch(time.time_since_epoch());
  }

  bool stop_requested() const noexcept;

  /// Requests the stop: `wait*()` returns true in every thread that waits.
  void request_stop() noexcept;

  /// Readable while signals wait for `dispatch()`: for poll, epoll and event loops. Do not read or close it.
  int signal_fd() const noexcept;

  /// Runs the actions of the signals that have arrived; never blocks.
  /// \return when to call it again at the latest, to repeat what a busy manager or a full disk refused.
  std::chrono::steady_clock::time_point dispatch();

  /// Reopens the files of standard output and error, for log rotation.
  /// \throws DaemonError (`open_stdio`, `redirect_stdio`); the old files stay in use.
  void reopen_output();
  LaunchMode mode() const noexcept;
  /// The daemon's process id; with `respawn` the worker's.
  pid_t pid() const noexcept;
  /// This worker's number, from 1, and how the previous worker ended. Without `respawn`: 1 and empty.
  unsigned worker_number() const noexcept;
  std::optional<WorkerEnd> last_worker_end() const noexcept;

  struct [[gnu::visibility("hidden")]] Impl;

 private:
  bool wait_until_since_epoch(Timeout since_epoch);  ///< of the steady clock
};

}  // namespace daemonctx
