// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <posix/syscalls.hpp>

#include "base/deadline.hpp"

#if __has_include(<sys/single_threaded.h>)
#include <sys/single_threaded.h>
#endif

namespace daemonctx::posix {

/// True if the C library knows that this process has one thread, so that there is nobody to exclude.
inline bool is_single_threaded() noexcept {
#if __has_include(<sys/single_threaded.h>)
  return __libc_single_threaded != 0;
#else
  return false;
#endif
}

/// How many threads this process has; 0 where the system does not tell. Every thread is a folder in
/// /proc/self/task, and a folder has a link for each folder in it and two of its own.
inline long count_threads() noexcept {
  struct stat tasks {};
  if (posix::stat("/proc/self/task", &tasks) == -1 || tasks.st_nlink < 3) return 0;
  return static_cast<long>(tasks.st_nlink) - 2;
}

/// The same once it is at most `wanted`, or after a while at the latest: a thread that was joined is still
/// listed for a moment. Where the C library knows of one thread, that is the answer.
inline long settled_threads(long wanted) noexcept {
  // On a busy machine. Only a start that is refused takes it all.
  constexpr std::chrono::milliseconds patience{250};
  if (is_single_threaded()) return 1;
  long count = count_threads();
  for (const auto deadline = deadline_in(patience); count > wanted && Clock::now() < deadline;) {
    posix::poll(nullptr, 0, 1);
    count = count_threads();
  }
  return count;
}

}  // namespace daemonctx::posix
