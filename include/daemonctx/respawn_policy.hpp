// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "daemonctx/export.hpp"
#include "daemonctx/timeout.hpp"

namespace daemonctx {

/// How a worker ended.
struct WorkerEnd {
  unsigned incarnation = 0;  ///< the first worker is 1
  pid_t pid = 0;             ///< 0 where it is not known, as in `DaemonStatus`
  int exit_status = 0;       ///< if no signal ended it
  int signal = 0;            ///< the signal that ended it, or 0
  bool core_dumped = false;
  bool hung = false;      ///< it was aborted, since it said nothing within `RespawnPolicy::hang_timeout`
  bool was_ready = true;  ///< false: it ended before
  std::optional<std::uintptr_t> fault_address =
      {};  ///< what it touched, or where it was, for SIGSEGV, SIGBUS, SIGFPE and SIGILL of its own making
  std::chrono::milliseconds uptime = {};
};

/// "was killed by SIGSEGV at address 0x10 (core dumped) after 2.5 s".
DAEMONCTX_EXPORT std::string describe(const WorkerEnd& end);

/// What a shell shows: the exit status, or 128 + the signal.
DAEMONCTX_EXPORT int status_of(const WorkerEnd& end) noexcept;

/// What a monitor lets others know of its worker.
struct WorkerStatus {
  unsigned incarnation = 0;                                         ///< the first worker is 1
  std::optional<std::chrono::system_clock::time_point> since = {};  ///< empty between two workers
  std::optional<WorkerEnd> last_exit = {};                          ///< without pid and address
};

/// When and how often a service that has ended is started anew.
///
/// With it the daemon is two processes. The **monitor** has the pidfile and its locks, the descriptors that
/// were open when the context was made, and the service manager; it forks the **worker** from its memory as
/// that was, and so the constructor of the context returns in each worker anew. The monitor hands mapped
/// signals on. When the first worker ends before it is ready, the start has failed; later ones follow this
/// policy. The monitor ends with the last worker's status, and no worker outlives it.
///
/// In a user namespace the tie by which a worker dies with its monitor is undone when the service itself
/// changes its user after it is ready: let `DaemonOptions::user` do that. SIGTERM always stops the service,
/// also where it is mapped to a function.
///
/// When detached, the monitor's working directory is `/`, and with it that of `DaemonOptions::before_drop`.
///
/// Each worker is a fork: what should outlive one (listening sockets) is opened before the context, and named
/// in `DaemonOptions::files_preserve`.
struct RespawnPolicy {
  /// Before the first restart, and how it grows with each that follows.
  Timeout first_delay = std::chrono::milliseconds(100);
  double factor = 2;
  Timeout longest_delay = std::chrono::seconds(30);

  /// Makes each delay longer or shorter by up to this part of it, by chance: 0 to 1.
  double jitter = 0;

  /// The monitor gives up when a worker ends after so many restarts within the window. 0: there are none, it
  /// only watches.
  unsigned most_restarts = 5;
  Timeout window = std::chrono::seconds(10);

  /// A worker that ran so long was well: delay and count begin anew.
  Timeout stable_after = std::chrono::seconds(60);

  /// Exit statuses after which there is no restart, and those after which there is one without delay.
  std::vector<int> final_statuses = {0};
  std::vector<int> immediate_statuses = {};

  /// How long a worker may take to end when it is told to; then it is killed. Let it be shorter than the
  /// patience of who tells (`Controller::stop`: 10 s), who would otherwise kill the monitor.
  Timeout stop_timeout = std::chrono::seconds(8);

  /// A worker that is ready and says nothing for so long is aborted, and, if that takes more than two
  /// seconds, killed. `wait*()` and `AsioSignals` say something by themselves; others call `keep_alive()`.
  Timeout hang_timeout = forever;

  /// Called in the monitor after each worker's end, as the user that started the daemon: for a report of
  /// one's own. Signals and the next worker wait for it; what it throws goes to `DaemonOptions::on_error`.
  std::function<void(const WorkerEnd& end)> on_worker_end = {};
};

}  // namespace daemonctx
