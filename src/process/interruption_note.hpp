// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <atomic>

namespace daemonctx::process {

/// The handler that a start installs notes an interrupting signal here, and wakes the start.
struct InterruptionNote {
  std::atomic<pid_t> pid = 0;  ///< the process that waits
  std::atomic<int> signal = 0;
  std::atomic<int> wake_fd = -1;  ///< -1 if no process waits
};

extern constinit InterruptionNote interruption_note;

}  // namespace daemonctx::process
