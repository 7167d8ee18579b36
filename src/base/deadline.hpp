// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <chrono>
#include <ctime>
#include <limits>

namespace daemonctx::posix {

using Clock = std::chrono::steady_clock;

/// The moment that is so far ahead; the clock's end for what it cannot hold.
template <class Rep, class Period>
Clock::time_point deadline_in(std::chrono::duration<Rep, Period> duration) noexcept {
  const auto now = Clock::now();
  const auto longest = std::chrono::floor<std::chrono::milliseconds>(Clock::time_point::max() - now);
  if (duration >= longest) return Clock::time_point::max();
  return now + std::chrono::duration_cast<Clock::duration>(std::max(duration, duration.zero()));
}

/// For poll(2): what is left, rounded up, and no more than `longest`. Zero once the deadline has passed.
inline int poll_timeout(Clock::time_point deadline,
                        std::chrono::milliseconds longest = std::chrono::hours(24)) {
  const auto left = std::clamp(deadline - Clock::now(), Clock::duration::zero(), Clock::duration(longest));
  return static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(left).count());
}

/// For ppoll(2) and sigtimedwait(2).
inline timespec time_left(Clock::time_point deadline) noexcept {
  const auto left = std::max(deadline - Clock::now(), Clock::duration::zero());
  const auto seconds = std::chrono::floor<std::chrono::seconds>(left);
  return {static_cast<time_t>(seconds.count()),
          static_cast<long>(std::chrono::nanoseconds(left - seconds).count())};
}

}  // namespace daemonctx::posix
