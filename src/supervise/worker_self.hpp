// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <array>
#include <optional>

#include "daemonctx/respawn_policy.hpp"
#include "posix/unique_fd.hpp"

namespace daemonctx {

/// Whose bytes a worker keeps for the next one: those of `DaemonContext::remember`, or of `Service`.
enum class Memory { program, service };

/// What a worker knows about itself. Without a monitor all members are empty.
struct WorkerSelf {
  pid_t monitor = 0;
  UniqueFd lifeline = {};  ///< the other end closes when the monitor ends
  unsigned number = 0;     ///< from 1, counted by the monitor
  std::optional<WorkerEnd> last_end = {};
  std::array<UniqueFd, 2> remembered = {};  ///< by `Memory`: sealed memory that an earlier worker left

  bool is_worker() const noexcept { return monitor != 0; }
};

}  // namespace daemonctx
