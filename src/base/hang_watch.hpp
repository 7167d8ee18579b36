// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <chrono>

#include "base/deadline.hpp"

namespace daemonctx {

/// Tells when a watched worker or cleanup has been silent for longer than a limit.
///
/// SIGSTOP, or a stop of the whole machine, may have stopped the watcher together with the watched code. The
/// watcher sleeps in slices and knows when it meant to wake up. If it woke up late, the limit begins anew.
class HangWatch {
 public:
  using Clock = posix::Clock;

  explicit HangWatch(Timeout limit) noexcept : limit_(limit) {}

  /// Notes a sign of life: the limit begins anew.
  void restart(Clock::time_point now) noexcept { restarted_ = now; }

  /// The latest moment at which the watcher must call `has_expired`.
  Clock::time_point next_look(Clock::time_point now) noexcept {
    next_look_ = std::min(posix::later(restarted_, limit_), posix::later(now, limit_.length() / slices));
    return next_look_;
  }

  bool has_expired(Clock::time_point now) noexcept {
    if (now > posix::later(next_look_, tolerance())) restart(now);
    next_look_ = Clock::time_point::max();
    return now >= posix::later(restarted_, limit_);
  }

 private:
  static constexpr int slices = 4;

  // A busy machine, too, wakes a process up late.
  std::chrono::nanoseconds tolerance() const noexcept {
    constexpr std::chrono::milliseconds least{20};
    return std::max<std::chrono::nanoseconds>(limit_.length() / (2 * slices), least);
  }

  Timeout limit_;
  Clock::time_point restarted_ = Clock::now();
  Clock::time_point next_look_ = Clock::time_point::max();
};

}  // namespace daemonctx
