// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <chrono>
#include <ctime>

#include "daemonctx/timeout.hpp"

namespace daemonctx::posix {

// All arithmetic on time points is here. It saturates; `time_point::max()` means never.

/// The clock of deadlines: nobody can set it, and it stops while the machine sleeps.
using Clock = std::chrono::steady_clock;

inline Clock::time_point later(Clock::time_point time, Timeout timeout) noexcept {
  const auto length = std::max(timeout.length(), std::chrono::nanoseconds::zero());
  const auto left = Clock::time_point::max() - std::max(time, Clock::time_point());
  return length >= left ? Clock::time_point::max() : time + length;
}

inline Clock::time_point deadline_in(Timeout timeout) noexcept { return later(Clock::now(), timeout); }

/// Whether the clock has reached the deadline. It never reaches `time_point::max()`, and is then not read.
inline bool has_passed(Clock::time_point deadline) noexcept {
  return deadline != Clock::time_point::max() && Clock::now() >= deadline;
}

/// The milliseconds left for poll(2), rounded up, at most `longest`. Zero once the deadline has passed.
inline int poll_timeout(Clock::time_point deadline,
                        std::chrono::milliseconds longest = std::chrono::hours(24)) {
  const auto left = std::clamp(deadline - Clock::now(), Clock::duration::zero(), Clock::duration(longest));
  return static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(left).count());
}

/// The time left for ppoll(2) and sigtimedwait(2). Zero once the deadline has passed.
inline timespec time_left(Clock::time_point deadline) noexcept {
  const auto left = std::max(deadline - Clock::now(), Clock::duration::zero());
  const auto seconds = std::chrono::floor<std::chrono::seconds>(left);
  return {static_cast<time_t>(seconds.count()),
          static_cast<long>(std::chrono::nanoseconds(left - seconds).count())};
}

/// The time since the boot, for elapsed times that people read. Nobody can set CLOCK_BOOTTIME, and it goes on
/// while the machine sleeps.
inline std::chrono::milliseconds since_boot() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return std::chrono::seconds(now.tv_sec) + std::chrono::milliseconds(now.tv_nsec / 1'000'000);
}

}  // namespace daemonctx::posix
