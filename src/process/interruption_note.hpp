// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <atomic>

namespace daemonctx::process {

/// What the handler of a start's interruption notes, and whom it wakes.
struct InterruptionNote {
  std::atomic<pid_t> pid = 0;  ///< who waits
  std::atomic<int> signal = 0;
  std::atomic<int> wake_fd = -1;  ///< -1: nobody waits
};

extern constinit InterruptionNote interruption_note;

}  // namespace daemonctx::process
