// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/resource.h>

#include <optional>
#include <vector>

namespace daemonctx {

/// `setrlimit(2)` for one resource: `{RLIMIT_NOFILE, 65536}` sets both limits.
struct ResourceLimit {
  int resource = 0;  ///< RLIMIT_NOFILE, ...
  rlim_t soft = RLIM_INFINITY;
  std::optional<rlim_t> hard = {};  ///< empty: the same as `soft`
};

/// Limits and priorities of the service. They are set before `DaemonOptions::before_drop`, with the rights of
/// the start; with `respawn` they are the worker's and not the monitor's. Empty members change nothing.
struct Limits {
  std::vector<ResourceLimit> resources = {};  ///< RLIMIT_CORE only if `prevent_core` is false
  std::optional<int> nice = {};               ///< -20 to 19, not relative to the starter's (setpriority(2))
  std::optional<int> oom_score_adj = {};      ///< -1000 to 1000 (proc(5))
  std::vector<int> cpus = {};                 ///< the service runs only on these (sched_setaffinity(2))
};

}  // namespace daemonctx
