// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <optional>

#include "daemonctx/respawn_policy.hpp"
#include "posix/unique_fd.hpp"

namespace daemonctx {

/// What a worker knows about itself; without a monitor all of it is empty.
struct WorkerSelf {
  pid_t monitor = 0;
  UniqueFd lifeline = {};  ///< to the monitor, whose end closes the other end
  unsigned number = 0;     ///< from 1, counted by the monitor
  std::optional<WorkerEnd> last_end = {};

  bool is_worker() const noexcept { return monitor != 0; }
};

}  // namespace daemonctx
