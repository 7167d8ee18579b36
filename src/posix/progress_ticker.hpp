// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>

#include "base/deadline.hpp"
#include "daemonctx/progress.hpp"
#include "posix/child_trap.hpp"

namespace daemonctx {

/// Calls a `Progress` every half second of a wait, counted from the ticker's construction.
class Ticker {
 public:
  using Clock = posix::Clock;

  Ticker() = default;
  explicit Ticker(const Progress& tell) : tell_(&tell) {
    if (tell) next_ = begin_ + interval;
  }

  /// The time at which a wait until `deadline` must wake up next.
  Clock::time_point wake_up(Clock::time_point deadline) const noexcept { return std::min(deadline, next_); }

  /// Call it whenever a wait has woken up.
  void tick() noexcept {
    const auto now = Clock::now();
    if (now < next_) return;
    next_ = now + interval;
    const posix::ChildTrap trap;
    try {
      (*tell_)(std::chrono::duration_cast<std::chrono::milliseconds>(now - begin_));
    } catch (...) {  // the wait is more important than its display
      static_cast<void>(0);
    }
  }

 private:
  static constexpr std::chrono::milliseconds interval{500};

  const Progress* tell_ = nullptr;
  Clock::time_point begin_ = Clock::now();
  Clock::time_point next_ = Clock::time_point::max();
};

}  // namespace daemonctx
