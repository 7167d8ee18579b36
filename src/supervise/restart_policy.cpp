// SPDX-License-Identifier: BSL-1.0
#include "supervise/restart_policy.hpp"

#include <algorithm>
#include <stdexcept>

#include "base/timeout_text.hpp"

namespace daemonctx {
namespace {

using Milliseconds = std::chrono::duration<double, std::milli>;

double in_milliseconds(Timeout timeout) { return Milliseconds(timeout.length()).count(); }

void check(bool condition, const std::string& reason) {
  if (!condition) throw std::invalid_argument("respawn_policy: " + reason);
}

bool has(const std::vector<int>& statuses, int status) {
  return std::find(statuses.begin(), statuses.end(), status) != statuses.end();
}

double after(double delay, const RespawnPolicy& policy) {
  return std::min(delay * policy.factor, in_milliseconds(policy.longest_delay));
}

// Two counted respawns are at least the delay between them apart.
void check_that_it_can_give_up(const RespawnPolicy& policy) {
  constexpr unsigned most_shown = 6;
  const auto window = in_milliseconds(policy.window);
  auto delay = in_milliseconds(policy.first_delay);
  double sum = 0;
  std::string terms;
  for (unsigned left = policy.max_restarts - 1, shown = 0; left > 0; --left, ++shown) {
    delay = after(delay, policy);
    const double shortest = delay * (1 - policy.jitter);
    if (shown < most_shown)
      terms += (shown > 0 ? " + " : "") +
               std::to_string(std::chrono::round<std::chrono::milliseconds>(Milliseconds(shortest)).count());
    else if (shown == most_shown) terms += " + ...";
    sum += shortest;
    if (shown < most_shown || after(delay, policy) != delay) continue;
    sum += shortest * (left - 1);  // the delays don't grow any more
    break;
  }
  check(sum < window, "it could never give up: " + std::to_string(policy.max_restarts) +
                          " restarts don't fit in the window of " + to_text(policy.window) +
                          ", since the delays between them alone take " + terms + " ms");
}

void check_durations(const RespawnPolicy& policy) {
  constexpr Timeout none;
  check(policy.first_delay >= none, "first_delay must not be negative");
  check(policy.longest_delay >= policy.first_delay, "longest_delay is shorter than first_delay");
  check(policy.window > none, "window must be longer than zero");
  check(policy.stable_after > none, "stable_after must be longer than zero: each run would reset the count");
  check(policy.stop_timeout >= none, "stop_timeout must not be negative");
  for (const Path& each : policy.monitor_opens)
    check(each.is_absolute(), "monitor_opens: \"" + each.native() + "\" is no absolute path");
  check(policy.hang_timeout > none, "hang_timeout must be longer than zero: each worker would hang at once");
}

void check_statuses(const RespawnPolicy& policy) {
  for (const auto* statuses : {&policy.no_restart_exit_codes, &policy.immediate_restart_exit_codes}) {
    for (const int status : *statuses) {
      check(status >= 0 && status <= 255, std::to_string(status) + " can't be an exit code");
    }
  }
  for (const int status : policy.no_restart_exit_codes) {
    check(
        !has(policy.immediate_restart_exit_codes, status),
        std::to_string(status) + " can't be in both no_restart_exit_codes and immediate_restart_exit_codes");
  }
}

}  // namespace

void validate(const RespawnPolicy& policy) {
  check(std::isfinite(policy.factor) && policy.factor >= 1, "factor must be 1 or more");
  check(policy.jitter >= 0 && policy.jitter <= 1, "jitter must be between 0 and 1");
  check_durations(policy);
  check_statuses(policy);
  if (policy.max_restarts > 0) check_that_it_can_give_up(policy);
}

Backoff::Backoff(const RespawnPolicy& policy)
    : policy_(policy),
      delay_(in_milliseconds(policy.first_delay)),
      chance_(static_cast<unsigned>(Clock::now().time_since_epoch().count())) {}

Timeout Backoff::grown_delay() {
  const double spread = std::uniform_real_distribution<>(-policy_.jitter, policy_.jitter)(chance_);
  const double delay = delay_ * (1 + spread);
  delay_ = after(delay_, policy_);
  return Milliseconds(delay);
}

std::optional<Timeout> Backoff::next(const WorkerEnd& end, Clock::time_point now) {
  if (policy_.max_restarts == 0) return std::nullopt;
  const bool exited = end.signal == 0 && !end.hung;
  if (exited && has(policy_.no_restart_exit_codes, end.exit_code)) return std::nullopt;
  if (end.was_ready && policy_.stable_after <= end.uptime) {
    delay_ = in_milliseconds(policy_.first_delay);
    restarts_.clear();
  }
  while (!restarts_.empty() && policy_.window <= now - restarts_.front()) restarts_.pop_front();
  gave_up_ = restarts_.size() >= policy_.max_restarts;
  if (gave_up_) return std::nullopt;
  const bool at_once = exited && has(policy_.immediate_restart_exit_codes, end.exit_code);
  const Timeout delay = at_once ? Timeout() : grown_delay();
  restarts_.push_back(posix::later(now, delay));
  return delay;
}

}  // namespace daemonctx
