// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <posix/syscalls.hpp>

namespace daemonctx::posix {

/// How many threads this process has; 0 where the system does not tell. Every thread is a folder in
/// /proc/self/task, and a folder has a link for each folder in it and two of its own.
inline long count_threads() noexcept {
  struct stat tasks {};
  if (posix::stat("/proc/self/task", &tasks) == -1 || tasks.st_nlink < 3) return 0;
  return static_cast<long>(tasks.st_nlink) - 2;
}

}  // namespace daemonctx::posix
