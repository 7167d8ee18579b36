// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <deque>
#include <optional>
#include <random>

#include "base/deadline.hpp"
#include "daemonctx/respawn_policy.hpp"

namespace daemonctx {

/// \throws std::invalid_argument naming the fault. For a policy that could never give up, the text has the
///   arithmetic.
void validate(const RespawnPolicy& policy);

/// Applies a policy to the ends of workers.
class Backoff {
 public:
  using Clock = posix::Clock;

  explicit Backoff(const RespawnPolicy& policy);

  /// How long to wait before the next worker; empty: no further worker is to start.
  std::optional<Timeout> next(const WorkerEnd& end, Clock::time_point now);

  /// Whether the last result of `next` was empty because there were too many respawns.
  bool gave_up() const noexcept { return gave_up_; }

 private:
  Timeout grown_delay();

  const RespawnPolicy& policy_;
  double delay_ = 0;                        // the next one, in milliseconds
  std::deque<Clock::time_point> restarts_;  // within the window
  bool gave_up_ = false;
  std::minstd_rand chance_;
};

}  // namespace daemonctx
