// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "daemonctx/cleanup.hpp"
#include "daemonctx/daemon_options.hpp"
#include "daemonctx/detail/chrono.hpp"
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
/// A start has three processes. The **caller** is the process that the user started. It leaves the
/// constructor with `_exit(0)` once the daemon is ready; if the start fails, the constructor throws there.
/// The **intermediate** lives for microseconds. The **daemon** is the process in which the constructor
/// returns. In other modes (see `LaunchMode`) the caller becomes the daemon, or with `respawn` its monitor.
///
/// Thread-safety: `on_exit`, `close_on_exit`, `notify_*`, `keep_alive`, `fail`, `stop_requested`,
/// `stop_reason`, `request_stop`, `reopen_output`, `socket`, `mode` and `pid` are thread-safe; all other
/// members are reentrant. No member is async-signal-safe.
///
/// In a child that the daemon forks, the context is inert: no member does anything, `wait*()` returns true at
/// once and `stop_requested()` returns false. The child holds no descriptor of the pidfile, and mapped
/// signals have their default action. A call after the context's end does nothing either; `stop_requested()`
/// then returns true. The destructor waits for members that other threads are still in, for the same time as
/// for a running cleanup.
class DAEMONCTX_EXPORT DaemonContext {
 public:
  /// Becomes a daemon.
  /// \throws std::invalid_argument, naming the wrong option; nothing has been changed.
  /// \throws std::logic_error if a context is already open in this process.
  /// \throws DaemonError in the caller, also for a failure in the daemon. No process of the daemon's process
  ///   group, no pidfile, socket file or lock is left. In the foreground, where the new user may not remove
  ///   them, the pidfile is left empty and a socket file stays.
  [[nodiscard]] explicit DaemonContext(DaemonOptions options = {});

  /// Ends the daemon's work: tells the service manager, runs the cleanups (last first), removes the pidfile,
  /// and restores the signal dispositions and the mask. After a stop request a detached daemon ignores
  /// further SIGTERM, SIGINT and SIGHUP until it exits. `std::exit`, and an uncaught exception in the thread
  /// that made the context, run the same steps, once. An uncaught exception in another thread is reported in
  /// one line and removes the pidfile, without cleanups: other threads still use what those would destroy.
  /// `_exit`, `quick_exit` and `abort` run nothing, but the kernel drops the locks.
  ///
  /// One thread runs the end. Others that leave the scope, call `std::exit` or die of an exception wait for
  /// the running cleanup, at most `cleanup_timeout`, or five seconds if none is set. Then the rest is given
  /// up, as for a cleanup that hangs. The first thread to end the process decides its exit code.
  ~DaemonContext();

  DaemonContext(const DaemonContext&) = delete;
  DaemonContext& operator=(const DaemonContext&) = delete;

  /// Registers a callable to run at the end. Every object that it refers to must outlive the context.
  template <class F>
  Cleanup on_exit(F&& callable) {
    const detail::CleanupVisit visit(this);
    return visit.cleanups() != nullptr ? visit.cleanups()->push(std::forward<F>(callable)) : Cleanup();
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
  /// text goes to `on_error` and to the manager's status, and the service goes on. \throws as `map_signal`
  void on_reload(std::function<void()> reload);

  /// With `Readiness::when_notified`: redirects output and error, tells the service manager and releases the
  /// caller. Further calls do nothing.
  /// \throws DaemonError: (`become_ready`, `broken_pipe`) if the caller is gone and nobody knows of this
  ///   daemon; (`become_ready`, `operation_canceled`) after `fail()`; (`redirect_stdio`, `write_pidfile`, or
  ///   `become_ready` in a worker) with the system's error.
  void notify_ready();

  /// Sends the service manager a line to show. Does nothing without a manager.
  void notify_status(std::string_view text) noexcept;

  /// Tells the service manager's watchdog, and the monitor (`hang_timeout`), that the service is alive.
  /// `wait*()` calls it at half of their timeout; a service with its own event loop must call it itself.
  void keep_alive() noexcept;

  /// Other messages to the service manager, and what the manager passed on.
  ServiceManager manager() noexcept;

  /// The descriptor of a socket of `DaemonOptions::sockets`, which the context closes after the cleanups. A
  /// forked child gets -1; its copy of the descriptor stays open. \throws std::out_of_range
  int socket(std::string_view name) const;

  /// Adds or replaces an entry of the signal map. \throws std::invalid_argument; std::system_error, also in a
  /// worker that can't reach its monitor: the monitor then does not pass the signal on.
  void map_signal(int number, SignalAction action);

  /// Requests the stop, because the service can't do its work. A caller that still waits throws the text
  /// (`DaemonError`, step `run_service`); otherwise the text goes to `on_error`.
  void fail(std::string_view text) noexcept;

  /// Keeps up to 4 MiB for the next worker, or the next version of the program, in place of what was kept
  /// before. \throws std::length_error; std::system_error
  void remember(std::string_view bytes);
  std::optional<std::string> remembered() const;  ///< what an earlier worker or version kept last
  /// Opens a file for reading, or lets the monitor do it (`monitor_opens`). \throws std::system_error
  int open_file(const Path& file);

  /// Runs signal actions until a stop is requested. With a limit: true if a stop is requested.
  void wait();
  bool wait_for(Timeout timeout);
  template <class Duration>
  bool wait_until(std::chrono::time_point<std::chrono::steady_clock, Duration> time) {
    return wait_until_since_epoch(time.time_since_epoch());
  }
  bool stop_requested() const noexcept;
  StopReason stop_reason() const noexcept;  ///< `upgrade`: accept nothing new, and finish what was begun
  void request_stop() noexcept;             ///< `wait*()` then returns true in every thread that waits

  /// Readable while signals wait for `dispatch()`: for poll, epoll and event loops. Do not read or close it.
  int signal_fd() const noexcept;

  /// Runs the actions of the signals that have arrived; never blocks.
  /// \return when to call it again at the latest, to repeat what a busy manager or a full disk refused.
  std::chrono::steady_clock::time_point dispatch();

  /// Reopens the files of standard output and error, for log rotation.
  /// \throws DaemonError (`open_stdio`, `redirect_stdio`); the old files stay in use.
  void reopen_output();
  LaunchMode mode() const noexcept;
  pid_t pid() const noexcept;                                 ///< the daemon's; with `respawn` the worker's
  unsigned worker_number() const noexcept;                    ///< from 1; always 1 without `respawn`
  std::optional<WorkerEnd> last_worker_end() const noexcept;  ///< of the worker before

  struct [[gnu::visibility("hidden")]] Impl;

 private:
  bool wait_until_since_epoch(Timeout since_epoch);  ///< of the steady clock
};

}  // namespace daemonctx
