// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "daemonctx/crash_report.hpp"
#include "daemonctx/detail/chrono.hpp"
#include "daemonctx/export.hpp"
#include "daemonctx/path.hpp"
#include "daemonctx/timeout.hpp"

namespace daemonctx {

/// How a worker ended.
struct WorkerEnd {
  unsigned worker_number = 0;  ///< counts from 1
  pid_t pid = 0;               ///< 0 where it is not known, as in `DaemonStatus`
  int exit_code = 0;           ///< if no signal ended it
  int signal = 0;              ///< the signal that ended it, or 0
  bool core_dumped = false;
  bool hung = false;      ///< it was aborted: it gave no sign of life within `RespawnPolicy::hang_timeout`
  bool was_ready = true;  ///< false: it ended before
  std::optional<std::uintptr_t> fault_address =
      {};  ///< of the access or instruction, if it caused SIGSEGV, SIGBUS, SIGFPE or SIGILL itself
  std::chrono::milliseconds uptime = {};
};

/// "was killed by SIGSEGV at address 0x10 (core dumped) after 2.5 s".
DAEMONCTX_EXPORT std::string to_string(const WorkerEnd& end);

/// The exit code that a shell shows: the worker's own, or 128 + the signal.
DAEMONCTX_EXPORT int exit_code_of(const WorkerEnd& end) noexcept;

/// The worker of a daemon, as its monitor shows it.
struct WorkerStatus {
  unsigned worker_number = 0;                                       ///< counts from 1
  std::optional<std::chrono::system_clock::time_point> since = {};  ///< empty between two workers
  /// Since its last sign of life, to a second. Only with `RespawnPolicy::hang_timeout`.
  std::optional<std::chrono::milliseconds> silent_for = {};
  std::optional<WorkerEnd> last_worker_end = {};  ///< without pid and address
};

/// When and how often a service that has ended is started again.
///
/// With `DaemonOptions::respawn` the daemon is two processes. The **monitor** holds the pidfile and its
/// locks, the descriptors that were open when the context was made, and the connection to the service
/// manager. It forks each **worker** from its own memory, so the constructor of the context returns in each
/// worker. The monitor passes mapped signals on. If the first worker ends before it is ready, the start
/// fails; later workers follow this policy. The monitor ends with the last worker's exit code, and no worker
/// outlives it.
///
/// The kernel kills a worker whose monitor dies. In a user namespace a worker loses this tie if it changes
/// its user itself after it is ready: set `DaemonOptions::user` instead. SIGTERM stops the service even if it
/// is mapped to a function.
///
/// A detached monitor's working directory is `/`, and `DaemonOptions::before_drop` runs there, too.
///
/// Sockets of `DaemonOptions::sockets` outlive a worker. Open all else that should do so before the context,
/// and name it in `DaemonOptions::files_preserve`. `DaemonContext::remember` keeps bytes for the next worker.
struct RespawnPolicy {
  /// The delay before the first restart. Each later delay is longer by `factor`, up to `longest_delay`.
  Timeout first_delay = std::chrono::milliseconds(100);
  double factor = 2;
  Timeout longest_delay = std::chrono::seconds(30);

  /// The largest random change of each delay, as a part of the delay: 0 to 1.
  double jitter = 0;

  /// The monitor gives up when a worker ends after this many restarts within `window`. 0 disables restarts;
  /// the monitor only supervises.
  unsigned max_restarts = 5;
  Timeout window = std::chrono::seconds(10);

  /// After a worker has run this long, delay and count begin anew.
  Timeout stable_after = std::chrono::seconds(60);

  /// Exit codes after which there is no restart, and exit codes after which the restart has no delay.
  std::vector<int> no_restart_exit_codes = {0};
  std::vector<int> immediate_restart_exit_codes = {};

  /// How long a worker may take to end after a stop request; then it is killed. Keep it shorter than the
  /// timeout of the stop itself (`Controller::stop`: 10 s), which would otherwise kill the monitor.
  Timeout stop_timeout = std::chrono::seconds(8);

  /// A ready worker that gives no sign of life for this long is aborted, and killed two seconds later.
  /// `wait*()` and `AsioSignals` give signs of life by themselves; a service with its own event loop calls
  /// `keep_alive()`. A pause of the monitor, by SIGSTOP or of the whole machine, does not count.
  Timeout hang_timeout = forever;

  /// Files that the monitor opens, with the rights of the start, for a worker that calls
  /// `DaemonContext::open_file` with the same path and may not open it itself: a configuration or a key that
  /// only root may read. Absolute paths; nobody but root and the starter may be able to replace the file.
  std::vector<Path> monitor_opens = {};

  /// Called in the monitor after each worker's end, as the user that started the daemon, even if
  /// `DaemonOptions::user` is set. Signals and the next worker wait for it. An exception goes to
  /// `DaemonOptions::on_error`.
  std::function<void(const WorkerEnd& end)> on_worker_end = {};

  /// Reports the stack of a worker that crashed, and the stacks of all threads of one that hangs:
  /// `stack_resolver()` (`daemonctx/stack_resolver.hpp`). Empty: one line with signal and address.
  CrashReport crash_report = {};
};

}  // namespace daemonctx
