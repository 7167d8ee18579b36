// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

#include "daemonctx/detail/chrono.hpp"
#include "daemonctx/export.hpp"
#include "daemonctx/path.hpp"
#include "daemonctx/respawn_policy.hpp"

namespace daemonctx {

/// The state of a daemon, from the locks on its pidfile. The text in the file is never trusted.
enum class DaemonState {
  running,
  starting,  ///< a start is under way; there may be no pid yet
  stopping,  ///< it was told to stop, and has not ended yet
  stopped,   ///< no pidfile, or an empty one: a daemon that may not remove its pidfile empties it
  stale,     ///< the pidfile has content, and no process holds its lock: the daemon did not end cleanly
  unknown,   ///< this user may not read the pidfile, or the pidfile can't be trusted
};

DAEMONCTX_EXPORT const char* to_string(DaemonState state) noexcept;

/// A daemon as other processes see it.
struct DaemonStatus {
  DaemonState state = DaemonState::stopped;
  pid_t pid = 0;  ///< 0 if no daemon runs, or it has no number in this pid namespace
  std::optional<std::chrono::system_clock::time_point> since = {};  ///< start time of `pid`, if /proc tells
  std::optional<WorkerStatus> worker = {};  ///< with `DaemonOptions::respawn`; `pid` is then the monitor
  std::uint64_t tag = 0;                    ///< `PidfileOptions::tag`
  std::string text = {};  ///< what the service said last (`notify_status`), up to about 140 bytes
};

/// The status as one line of text: "running, pid 4711, since 2026-11-21 09:00:00; worker 2 since
/// ...", "not running". The times are local.
/// \param pidfile named if the state is `stale` or `unknown`.
DAEMONCTX_EXPORT std::string to_string(const DaemonStatus& status, const Path& pidfile);

/// The exit code of `status` in the Linux Standard Base: 0 running, starting or stopping, 1 stale, 3 stopped,
/// 4 unknown.
DAEMONCTX_EXPORT int exit_code_of(DaemonState state) noexcept;

}  // namespace daemonctx
