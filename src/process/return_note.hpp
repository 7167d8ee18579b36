// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <atomic>

namespace daemonctx::process {

/// The way back of a program that was executed in place of a monitor's: until it has taken over, it executes
/// the former program again when it ends.
struct ReturnNote {
  std::atomic<pid_t> process = 0;  ///< which may go back; a forked child may not
  std::atomic<int> record = -1;    ///< the descriptor of the record, once it is read
};

extern constinit ReturnNote return_note;

}  // namespace daemonctx::process
