// SPDX-License-Identifier: BSL-1.0
#include "supervise/signal_relay.hpp"

#include <cerrno>
#include <iterator>
#include <posix/syscalls.hpp>
#include <system_error>

#include "posix/signal_child.hpp"
#include "signals/inbox.hpp"

namespace daemonctx {

SignalRelay::SignalRelay(const SignalMap& map, std::function<void()> on_stop,
                         std::function<void(int number, int error)> on_refusal,
                         std::function<void(const SignalInfo&)> on_upgrade,
                         std::function<void(std::uint64_t signals)> on_dropped)
    : on_stop_(std::move(on_stop)),
      on_refusal_(std::move(on_refusal)),
      on_upgrade_(std::move(on_upgrade)),
      // None of these actions throws.
      signals_(relayed(map), {.reload = [] {},
                              .reopen_output = [] {},
                              .report = [](const auto&, auto) {},
                              .released = std::move(on_dropped),
                              .hang_up = [this] { stop({.number = SIGTERM}); }}) {}

SignalMap SignalRelay::relayed(const SignalMap& map) {
  SignalMap result;
  for (const auto& [number, action] : map) {
    const auto* standard = action.action();
    if (standard != nullptr && (*standard == Action::ignore || *standard == Action::restore_default)) {
      result[number] = action;
      continue;
    }
    if (standard != nullptr && *standard == Action::upgrade) {
      result[number] = [this](const SignalInfo& info) { on_upgrade_(info); };
      continue;
    }
    mapped_by_all_ |= signal_bit(number);
    if (number == SIGTERM || (standard != nullptr && *standard == Action::terminate)) {
      stopping_ |= signal_bit(number);
      result[number] = [this](const SignalInfo& info) { stop(info); };
    } else {
      result[number] = [this](const SignalInfo& info) { take(info); };
    }
  }
  result[SIGCHLD] = [](const SignalInfo&) {};  // wakes the monitor
  // A report that nobody reads must not end the monitor, even if the user's own code writes the report.
  for (const int number : {SIGPIPE, SIGXFSZ}) {
    if ((mapped_by_all_ & signal_bit(number)) == 0) result[number] = Action::ignore;
  }
  return result;
}

void SignalRelay::set_worker(pid_t worker, std::uint64_t mapped) {
  worker_ = worker;
  mapped_ = mapped_by_all_;
  if (worker != 0) handed_on_.clear();
  for (int number = 1; number < NSIG; ++number) {
    if ((mapped & signal_bit(number)) != 0) worker_mapped(number);
  }
  hand_on_held();
}

sigset_t SignalRelay::leave_to_program() {
  const sigset_t handled = signals_.handled();
  for (const auto& [number, info] : held_) {
    sigval value{};
    value.sival_int = info.value;
    posix::sigqueue(posix::getpid(), number, value);
  }
  held_.clear();
  signals_.leave_to_child();
  return handled;
}

void SignalRelay::worker_mapped(int number) {
  mapped_ |= signal_bit(number);
  if (number == SIGCHLD || (stopping_ & signal_bit(number)) != 0) return;
  try {
    signals_.map(number, [this](const SignalInfo& info) { take(info); });
  } catch (const std::system_error&) {
    return;
  }
  hand_on_held();
}

void SignalRelay::release() {
  const bool was_held = (signal_inbox.held & signal_bit(SIGHUP)) != 0;
  signals_.note(SignalDispatcher::service_is_ready);
  signals_.note(SignalDispatcher::service_waits);
  if (was_held && signals_.ends_with_terminal())
    signals_.map(SIGHUP, [this](const SignalInfo&) { stop({.number = SIGTERM}); });
}

void SignalRelay::requeue(int number) {
  if (auto node = handed_on_.extract(number)) held_.insert(std::move(node));
}

// The kernel sends a terminal's signals to monitor and worker alike, but a hang-up only to the leader of the
// session, which may be the monitor.
void SignalRelay::take(const SignalInfo& info) {
  if (signals_.is_hang_up(info)) return stop({.number = SIGTERM});
  if (info.by_kernel && worker_ != 0) return;
  if (worker_ != 0 && (mapped_ & signal_bit(info.number)) != 0) hand_on(info);
  else held_[info.number] = info;
}

void SignalRelay::stop(const SignalInfo& info) {
  on_stop_();
  if (worker_ != 0 && !info.by_kernel) hand_on(info);
}

void SignalRelay::hand_on(const SignalInfo& info) {
  handed_on_[info.number] = info;
  const int error = posix::signal_child(worker_, info.number, info.value);
  if (error == 0 || error == ESRCH) return;  // the next worker gets what an ended one has missed
  handed_on_.erase(info.number);
  on_refusal_(info.number, error);
}

void SignalRelay::hand_on_held() {
  if (worker_ == 0) return;  // the last messages of an ended worker
  for (auto each = held_.begin(); each != held_.end();) {
    const bool wanted = (mapped_ & signal_bit(each->first)) != 0;
    if (wanted) hand_on(each->second);
    each = wanted ? held_.erase(each) : std::next(each);
  }
}

}  // namespace daemonctx
