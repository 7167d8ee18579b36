// SPDX-License-Identifier: BSL-1.0
#include "signals/dispatcher.hpp"

#include <cxxabi.h>
#include <poll.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <posix/syscalls.hpp>
#include <utility>

#include "base/deadline.hpp"
#include "base/graces.hpp"
#include "posix/poll_until.hpp"
#include "posix/retry.hpp"
#include "process/gate.hpp"
#include "process/owner.hpp"
#include "signals/inbox.hpp"

namespace daemonctx {
namespace {

using posix::Clock;

bool is(const SignalAction& action, Action standard) noexcept {
  const auto* held = action.action();
  return held != nullptr && *held == standard;
}

// Ignore these with SIG_IGN: with an empty handler SA_RESTART would repeat the terminal read or write of a
// background process for ever.
bool is_job_control(int number) noexcept { return number == SIGTTIN || number == SIGTTOU; }

struct sigaction disposition(int number, const SignalAction& action, bool detached) noexcept {
  struct sigaction result {};
  result.sa_flags = SA_ONSTACK;
  sigfillset(&result.sa_mask);  // nested handlers would overflow an alternate stack
  if (is(action, Action::restore_default)) {
    result.sa_handler = SIG_DFL;
  } else if (is(action, Action::ignore) && (number == SIGCHLD || (is_job_control(number) && !detached))) {
    result.sa_handler = SIG_IGN;
  } else {
    result.sa_sigaction = &note_signal;
    result.sa_flags |= SA_SIGINFO | (is(action, Action::terminate) ? 0 : SA_RESTART);
  }
  return result;
}

void reap_all_children() noexcept {
  while (posix::retry([] { return posix::waitpid(-1, nullptr, WNOHANG); }) > 0) {
  }
}

// Within the scope this thread is the waiter and handles signals only inside ppoll(2). Cancellation inside
// ppoll(2) ends the scope too. The scope blocks all signals, because another thread may map one meanwhile.
class WaiterScope {
 public:
  WaiterScope() noexcept {
    sigset_t all;
    sigfillset(&all);
    posix::pthread_sigmask(SIG_SETMASK, &all, &former_);
    signal_inbox.waiter = ::pthread_self();
  }
  ~WaiterScope() {
    signal_inbox.waiter = pthread_t{};
    posix::pthread_sigmask(SIG_SETMASK, &former_, nullptr);
  }
  WaiterScope(const WaiterScope&) = delete;
  WaiterScope& operator=(const WaiterScope&) = delete;

  const sigset_t& former() const noexcept { return former_; }

 private:
  sigset_t former_;
};

class Counted {
 public:
  explicit Counted(std::atomic<int>& count) noexcept : count_(count) { ++count_; }
  ~Counted() {
    // Pass a stop on to the next waiting thread: the descriptor wakes only the thread that drains it.
    if (--count_ > 0 && signal_inbox.waits_end != 0) signal_inbox.wake.notify();
  }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;

 private:
  std::atomic<int>& count_;
};

// Keeps the descriptor readable while signals are pending. The handler does not notify if it interrupts the
// waiter's ppoll(2), and a cancelled thread leaves the rest of its pass pending.
class KeepsReadable {
 public:
  KeepsReadable() noexcept = default;
  ~KeepsReadable() {
    if (signal_inbox.due() != 0) signal_inbox.wake.notify();
  }
  KeepsReadable(const KeepsReadable&) = delete;
  KeepsReadable& operator=(const KeepsReadable&) = delete;
};

}  // namespace

SignalDispatcher::SignalDispatcher(const SignalMap& map, Hooks hooks) : hooks_(std::move(hooks)) {
  for (const auto& [number, action] : map) map_[number] = std::make_shared<const SignalAction>(action);
  constexpr std::size_t held_signals = 3;  // `install` must not allocate
  installed_.reserve(map_.size() + held_signals);
  sigemptyset(&mapped_);
  posix::pthread_sigmask(SIG_SETMASK, nullptr, &former_mask_);
}

int SignalDispatcher::fd() noexcept { return signal_inbox.wake.fd(); }

int SignalDispatcher::install(bool detached) noexcept {
  if (const int error = signal_inbox.wake.fd() == -1 ? signal_inbox.wake.open() : 0) return error;
  installs_ = true;
  detached_ = detached;
  signal_inbox.clear();
  signal_inbox.owner = posix::getpid();
  signal_inbox.receives = true;
  forks_.emplace(process::ForkRank::signals, fork_hook());
  ends_with_terminal_ = !detached && would_end_with_terminal();
  for (const auto& [number, action] : map_) {
    if (const int error = install_one(number, *action)) return error;
  }
  if (const int error = hold_unmapped()) return error;
  if (detached) sigemptyset(&former_mask_);
  sigset_t mask = former_mask_;
  for (const Installed& one : installed_) sigdelset(&mask, one.number);
  return posix::pthread_sigmask(SIG_SETMASK, &mask, nullptr);
}

int SignalDispatcher::install_one(int number, const SignalAction& action) noexcept {
  if (is(action, Action::terminate)) signal_inbox.terminating |= signal_bit(number);
  else signal_inbox.terminating &= ~signal_bit(number);
  const int error = install_handler(number, action);
  signal_inbox.held &= ~signal_bit(number);
  return error;
}

int SignalDispatcher::install_handler(int number, const SignalAction& action) noexcept {
  const struct sigaction wanted = disposition(number, action, detached_);
  struct sigaction former {};
  if (posix::sigaction(number, &wanted, &former) == -1) return errno;
  if (sigismember(&mapped_, number) == 0) installed_.push_back({number, former});
  sigaddset(&mapped_, number);
  return 0;
}

void SignalDispatcher::map(int number, SignalAction action) {
  if (!installs_) return;  // a forked child
  // After the swap `entry` holds the replaced action. Its destructor is user code and runs without the lock.
  auto entry = std::make_shared<const SignalAction>(std::move(action));
  {
    const std::lock_guard lock(map_mutex_);
    if (!installs_) return;  // `uninstall` came in between
    installed_.reserve(installed_.size() + 1);
    Entry& place = map_[number];
    place.swap(entry);
    if (const int error = install_one(number, *place))
      throw std::system_error(error, std::generic_category());
  }
  if ((signal_inbox.pending & signal_bit(number)) != 0) signal_inbox.wake.notify();  // it was held
  sigset_t one;
  sigemptyset(&one);
  sigaddset(&one, number);
  posix::pthread_sigmask(SIG_UNBLOCK, &one, nullptr);
}

SignalDispatcher::Entry SignalDispatcher::find(int number) {
  const std::lock_guard lock(map_mutex_);
  const auto found = map_.find(number);
  return found == map_.end() ? nullptr : found->second;
}

void SignalDispatcher::uninstall(bool process_ends) noexcept {
  stop_thread(graces::own_thread);  // for a failed start: an end has already stopped the thread
  if (!installs_.exchange(false)) return;
  forks_.reset();
  signal_inbox.receives = false;
  const std::lock_guard lock(map_mutex_);
  for (const Installed& one : installed_) {
    const bool stays = stays_handled_after_stop(one.number) || (process_ends && !is_terminating(one.number));
    if (!stays) posix::sigaction(one.number, &one.former, nullptr);
  }
  posix::pthread_sigmask(SIG_SETMASK, &former_mask_, nullptr);
}

void SignalDispatcher::leave_to_child() noexcept {
  installs_ = false;
  forks_.reset();
  signal_inbox.owner = 0;
  for (const Installed& one : installed_) posix::sigaction(one.number, &one.former, nullptr);
  signal_inbox.close();
}

// After a stop request a detached daemon keeps the handlers of `terminate` and `reload` until it exits.
// Destructors and unwritten output come after the context; a further signal, or a closed socket, must not
// kill the daemon there.
bool SignalDispatcher::stays_handled_after_stop(int number) noexcept {
  if ((signal_inbox.held & signal_bit(number)) != 0) return detached_ && signal_inbox.stop;
  const auto found = map_.find(number);
  if (!detached_ || found == map_.end()) return false;
  if (number == SIGPIPE) return is(*found->second, Action::ignore);
  return signal_inbox.stop && (is(*found->second, Action::terminate) || is(*found->second, Action::reload));
}

bool SignalDispatcher::is_terminating(int number) noexcept {
  const auto found = map_.find(number);
  return found != map_.end() && is(*found->second, Action::terminate);
}

bool SignalDispatcher::wait_until(Clock::time_point deadline) {
  if (!installs_ || !process::is_owner()) return true;
  return has_thread_ ? wait_for_stop(deadline) : wait_and_dispatch(deadline);
}

bool SignalDispatcher::wait_and_dispatch(Clock::time_point deadline) {
  const Counted waits(waiting_);
  bool goes_on = run_pending();
  while (goes_on && signal_inbox.waits_end == 0 && !posix::has_passed(deadline)) {
    Sleep next = next_sleep();
    next.longest = std::min(next.longest, deadline);
    sleep(next);
    goes_on = run_pending();
  }
  goes_on = goes_on && run_pending_stop();
  return !goes_on || signal_inbox.waits_end != 0;
}

SignalDispatcher::Sleep SignalDispatcher::next_sleep() {
  return hooks_.before_sleep ? hooks_.before_sleep() : Sleep();
}

void SignalDispatcher::sleep(const Sleep& sleep) {
  std::array<pollfd, 3> events{{{fd(), POLLIN, 0}, {sleep.watched[0], 0, 0}, {sleep.watched[1], 0, 0}}};
  const WaiterScope scope;
  if (signal_inbox.due() != 0 || signal_inbox.waits_end != 0) return;
  if (posix::poll_until(events, sleep.longest, &scope.former()) > 0) signal_inbox.wake.drain();
}

bool SignalDispatcher::wait_for_stop(Clock::time_point deadline) {
  const posix::FutexWord& ends = signal_inbox.waits_end;
  while (ends == 0 && !posix::has_passed(deadline)) posix::futex_wait(ends, 0, deadline);
  return ends != 0;
}

// `dispatch` passes a stop on: the wake-up that it drained may have been meant for waiting threads too.
void SignalDispatcher::dispatch() {
  signal_inbox.wake.drain();
  static_cast<void>(run_pending());
  if (waiting_ > 0 && signal_inbox.waits_end != 0) signal_inbox.wake.notify();
}

// Makes one pass over the signals that arrived before it. Signals that keep coming must not keep the caller
// from its deadline or from a stop. Returns false in a child that an action forked and that returned from it.
bool SignalDispatcher::run_pending() {
  const KeepsReadable rest;
  for (std::uint64_t arrived = signal_inbox.due(); arrived != 0; arrived &= arrived - 1) {
    const int number = std::countr_zero(arrived) + 1;
    const std::uint64_t bit = signal_bit(number);
    if ((signal_inbox.pending.fetch_and(~bit) & bit) == 0) continue;  // another thread runs the action
    run(number);
    if (!process::is_owner()) return false;
  }
  return true;
}

// Makes one more pass if a stop signal came after the last pass began. Earlier signals still get their
// actions, and the stop token its request.
bool SignalDispatcher::run_pending_stop() {
  return (signal_inbox.pending & signal_inbox.terminating) == 0 || run_pending();
}

void SignalDispatcher::run(int number) {
  const Entry entry = find(number);
  if (!entry) return;
  try {
    if (const auto* standard = entry->action()) return act(*standard, number);
    entry->function()(info_of(number));
  } catch (const abi::__forced_unwind&) {  // the cancellation of the thread must go on
    throw;
  } catch (...) {
    if (process::is_owner()) hooks_.report(std::current_exception(), "signal action");
  }
}

void SignalDispatcher::act(Action action, int number) {
  switch (action) {
    case Action::ignore:
    case Action::restore_default:
      break;
    case Action::terminate:
      request_stop();
      break;
    case Action::reload:
      if (number == SIGHUP && is_hang_up(info_of(number))) hang_up();
      else hooks_.reload();
      break;
    case Action::reopen_output:
      hooks_.reopen_output();
      break;
    case Action::upgrade:
      if (hooks_.upgrade) hooks_.upgrade(info_of(number));
      break;
    case Action::reap_children:
      reap_all_children();
      break;
  }
}

void SignalDispatcher::request_stop() noexcept {
  // End the waits before the token's callbacks run: a callback may wait for a thread in `wait_until`.
  note_stop();
  signal_inbox.wake.notify();
  stop_source_.request_stop();
}

void SignalDispatcher::wake() noexcept { signal_inbox.wake.notify(); }

void SignalDispatcher::end_waits() noexcept {
  end_all_waits();
  if (waiting_ > 0) signal_inbox.wake.notify();
}

bool SignalDispatcher::stop_requested() noexcept { return signal_inbox.stop; }

process::ForkHook SignalDispatcher::fork_hook() noexcept {
  return {
      .prepare = [](void* object) noexcept { static_cast<SignalDispatcher*>(object)->map_mutex_.lock(); },
      .in_parent = [](void* object) noexcept { static_cast<SignalDispatcher*>(object)->map_mutex_.unlock(); },
      .in_child = [](void* object) noexcept { static_cast<SignalDispatcher*>(object)->become_inert(); },
      .object = this};
}

// Runs in a forked child. The child starts with SIG_DFL and shares no descriptor with its parent.
void SignalDispatcher::become_inert() noexcept {
  map_mutex_.unlock();
  struct sigaction standard {};
  standard.sa_handler = SIG_DFL;
  for (const Installed& one : installed_) posix::sigaction(one.number, &standard, nullptr);
  installs_ = false;
  signal_inbox.owner = 0;
  signal_inbox.close();
}

}  // namespace daemonctx
