// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <posix/syscalls.hpp>

#include "base/deadline.hpp"
#include "base/graces.hpp"

#if __has_include(<sys/single_threaded.h>)
#include <sys/single_threaded.h>
#endif

namespace daemonctx::posix {

/// True if the C library knows that this process has one thread. Then there is no other thread to exclude.
inline bool is_single_threaded() noexcept {
#if __has_include(<sys/single_threaded.h>)
  return __libc_single_threaded != 0;
#else
  return false;
#endif
}

/// The number of threads of this process; 0 where the system does not tell. Every thread is a folder in
/// /proc/self/task. The links to a folder are two plus one for each folder in it.
inline long count_threads() noexcept {
  struct stat tasks {};
  if (posix::stat("/proc/self/task", &tasks) == -1 || tasks.st_nlink < 3) return 0;
  return static_cast<long>(tasks.st_nlink) - 2;
}

/// Like `count_threads`, but waits up to 250 ms until the number is at most `wanted`: a joined thread is
/// still listed for a moment. Returns 1 if `is_single_threaded()`.
inline long settled_threads(long wanted) noexcept {
  if (is_single_threaded()) return 1;
  long count = count_threads();
  for (const auto deadline = deadline_in(graces::joined_thread); count > wanted && Clock::now() < deadline;) {
    posix::poll(nullptr, 0, 1);
    count = count_threads();
  }
  return count;
}

}  // namespace daemonctx::posix
