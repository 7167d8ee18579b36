// SPDX-License-Identifier: BSL-1.0
#include "signal_dispatcher.hpp"

#include <poll.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <posix/syscalls.hpp>

#include "posix/retry.hpp"

namespace daemonctx {
namespace {

using Clock = std::chrono::steady_clock;

static_assert(NSIG - 1 <= 64, "a bit for each signal");
static_assert(std::atomic<std::uint64_t>::is_always_lock_free && std::atomic<pthread_t>::is_always_lock_free,
              "what a signal handler touches must not lock");

constexpr std::uint64_t bit(int number) noexcept { return std::uint64_t{1} << (number - 1); }

// The last values that came with one signal. Handlers of the same signal may run in several threads at once;
// one of them writes, the others' signals are as good as simultaneous.
class Slot {
 public:
  void store(const siginfo_t& info) noexcept {
    if (writing_.exchange(true)) return;
    const bool from_process = info.si_code <= 0 || info.si_signo == SIGCHLD;
    version_.fetch_add(1);
    pid_ = from_process ? info.si_pid : 0;
    uid_ = from_process ? info.si_uid : 0;
    value_ = info.si_code == SI_QUEUE ? info.si_value.sival_int : 0;
    version_.fetch_add(1);
    writing_ = false;
  }

  SignalInfo load(int number) const noexcept {
    for (;;) {
      const unsigned before = version_;
      const SignalInfo info{number, pid_, uid_, value_};
      if (before % 2 == 0 && before == version_) return info;
    }
  }

 private:
  std::atomic<bool> writing_ = false;
  std::atomic<unsigned> version_ = 0;
  std::atomic<pid_t> pid_ = 0;
  std::atomic<uid_t> uid_ = 0;
  std::atomic<int> value_ = 0;
};

// All that the handler knows.
struct Inbox {
  std::atomic<pid_t> owner = 0;  // a child made by vfork(2) shares this memory and must not write to it
  std::atomic<std::uint64_t> pending = 0;
  std::atomic<std::uint64_t> terminating = 0;
  std::atomic<bool> stop = false;
  std::atomic<pthread_t> waiter = {};  // inside ppoll(2), which a signal to this thread ends by itself
  std::atomic<const posix::WakeFd*> wake = nullptr;
  std::array<Slot, NSIG> slots;

  void receive(int number, const siginfo_t& info) noexcept {
    slots[static_cast<std::size_t>(number)].store(info);
    if ((terminating & bit(number)) != 0) stop = true;
    pending.fetch_or(bit(number));
    if (waiter != ::pthread_self()) wake.load()->notify();
  }
};

Inbox inbox;

void handle(int number, siginfo_t* info, void*) {
  const int saved = errno;
  if (inbox.owner == posix::getpid()) inbox.receive(number, *info);
  errno = saved;
}

bool is(const SignalAction& action, StandardAction standard) noexcept {
  const auto* held = std::get_if<StandardAction>(&action);
  return held != nullptr && *held == standard;
}

struct sigaction disposition(int number, const SignalAction& action) noexcept {
  struct sigaction result {};
  result.sa_flags = SA_ONSTACK;
  if (is(action, StandardAction::restore_default)) {
    result.sa_handler = SIG_DFL;
  } else if (number == SIGCHLD && is(action, StandardAction::ignore)) {
    result.sa_handler = SIG_IGN;
  } else {
    result.sa_sigaction = &handle;
    result.sa_flags |= SA_SIGINFO | (is(action, StandardAction::terminate) ? 0 : SA_RESTART);
  }
  return result;
}

// Null: for ever.
const timespec* time_left(const SignalDispatcher::Deadline& deadline, timespec& storage) noexcept {
  if (!deadline) return nullptr;
  const auto left = std::max(Clock::duration::zero(), *deadline - Clock::now());
  const auto seconds = std::chrono::floor<std::chrono::seconds>(left);
  storage.tv_sec = static_cast<time_t>(seconds.count());
  storage.tv_nsec = static_cast<long>(std::chrono::nanoseconds(left - seconds).count());
  return &storage;
}

bool passed(const SignalDispatcher::Deadline& deadline) noexcept {
  return deadline && *deadline <= Clock::now();
}

void reap_all_children() noexcept {
  while (posix::retry([] { return posix::waitpid(-1, nullptr, WNOHANG); }) > 0) {
  }
}

thread_local sigset_t mask_before_fork;

}  // namespace

SignalDispatcher::SignalDispatcher(SignalMap map, Hooks hooks)
    : map_(std::move(map)), hooks_(std::move(hooks)) {
  installed_.reserve(map_.size() + 1);
  sigemptyset(&mapped_);
}

int SignalDispatcher::install(bool empty_mask) noexcept {
  if (const int error = wake_.open()) return error;
  inbox.pending = 0;
  inbox.terminating = 0;
  inbox.stop = false;
  inbox.wake = &wake_;
  inbox.owner = posix::getpid();
  for (const auto& [number, action] : map_) {
    if (const int error = install_one(number, action)) return error;
  }
  if (!empty_mask) return posix::pthread_sigmask(SIG_UNBLOCK, &mapped_, &former_mask_);
  sigemptyset(&former_mask_);
  return posix::pthread_sigmask(SIG_SETMASK, &former_mask_, nullptr);
}

int SignalDispatcher::install_one(int number, const SignalAction& action) noexcept {
  if (is(action, StandardAction::terminate)) inbox.terminating |= bit(number);
  else inbox.terminating &= ~bit(number);
  const struct sigaction wanted = disposition(number, action);
  struct sigaction former {};
  if (posix::sigaction(number, &wanted, &former) == -1) return errno;
  if (sigismember(&mapped_, number) == 0) installed_.push_back({number, former});
  sigaddset(&mapped_, number);
  return 0;
}

void SignalDispatcher::map(int number, SignalAction action) {
  installed_.reserve(installed_.size() + 1);
  SignalAction& entry = map_[number];
  entry = std::move(action);
  if (const int error = install_one(number, entry)) throw std::system_error(error, std::generic_category());
  sigset_t one;
  sigemptyset(&one);
  sigaddset(&one, number);
  posix::pthread_sigmask(SIG_UNBLOCK, &one, nullptr);
}

void SignalDispatcher::start_thread() {
  if (const int error = stopped_.open()) throw std::system_error(error, std::generic_category());
  thread_ = std::thread([this] { deliver(); });
}

void SignalDispatcher::stop_thread() noexcept {
  if (!thread_.joinable()) return;
  quits_ = true;
  wake_.notify();
  if (thread_.get_id() == std::this_thread::get_id()) thread_.detach();  // std::exit from a signal action
  else thread_.join();
}

void SignalDispatcher::deliver() {
  pollfd readable{wake_.fd(), POLLIN, 0};
  while (!quits_) {
    posix::poll(&readable, 1, -1);
    wake_.drain();
    run_pending();
  }
}

void SignalDispatcher::uninstall() noexcept {
  if (wake_.fd() == -1) return;
  for (const Installed& one : installed_) posix::sigaction(one.number, &one.former, nullptr);
  posix::pthread_sigmask(SIG_SETMASK, &former_mask_, nullptr);
  inbox.owner = 0;
  wake_.close();
  stopped_.close();
}

bool SignalDispatcher::wait_until(const Deadline& deadline) {
  return stopped_.fd() == -1 ? wait_and_dispatch(deadline) : wait_for_stop(deadline);
}

bool SignalDispatcher::wait_and_dispatch(const Deadline& deadline) {
  ++waiting_;
  run_pending();
  while (!inbox.stop && !passed(deadline)) {
    sleep_until(deadline);
    run_pending();
  }
  // A stop is for every thread that waits, but the descriptor wakes only the one that drains it.
  if (--waiting_ > 0 && inbox.stop) wake_.notify();
  return inbox.stop;
}

void SignalDispatcher::sleep_until(const Deadline& deadline) {
  pollfd readable{wake_.fd(), POLLIN, 0};
  timespec storage{};
  sigset_t former;
  posix::pthread_sigmask(SIG_BLOCK, &mapped_, &former);
  inbox.waiter = ::pthread_self();
  const bool idle = inbox.pending == 0 && !inbox.stop;
  if (idle && posix::ppoll(&readable, 1, time_left(deadline, storage), &former) > 0) wake_.drain();
  inbox.waiter = pthread_t{};
  posix::pthread_sigmask(SIG_SETMASK, &former, nullptr);
}

bool SignalDispatcher::wait_for_stop(const Deadline& deadline) {
  pollfd readable{stopped_.fd(), POLLIN, 0};
  timespec storage{};
  while (!inbox.stop && !passed(deadline)) posix::ppoll(&readable, 1, time_left(deadline, storage), nullptr);
  return inbox.stop;
}

void SignalDispatcher::dispatch() {
  wake_.drain();
  run_pending();
}

void SignalDispatcher::run_pending() {
  while (std::uint64_t arrived = inbox.pending.exchange(0)) {
    for (; arrived != 0; arrived &= arrived - 1) run(std::countr_zero(arrived) + 1);
  }
}

void SignalDispatcher::run(int number) {
  const auto entry = map_.find(number);
  if (entry == map_.end()) return;
  try {
    if (const auto* standard = std::get_if<StandardAction>(&entry->second)) return act(*standard);
    const auto& call = std::get<1>(entry->second);
    call(inbox.slots[static_cast<std::size_t>(number)].load(number));
  } catch (...) {
    hooks_.report(std::current_exception(), "signal action");
  }
}

void SignalDispatcher::act(StandardAction action) {
  switch (action) {
    case StandardAction::ignore:
    case StandardAction::restore_default:
      break;
    case StandardAction::terminate:
      request_stop();
      break;
    case StandardAction::reload:
      hooks_.reload();
      break;
    case StandardAction::reopen_output:
      hooks_.reopen_output();
      break;
    case StandardAction::reap_children:
      reap_all_children();
      break;
  }
}

void SignalDispatcher::request_stop() noexcept {
  inbox.stop = true;
  stop_source_.request_stop();
  if (stopped_.fd() != -1) stopped_.notify();
  wake_.notify();
}

bool SignalDispatcher::stop_requested() const noexcept { return inbox.stop; }

void SignalDispatcher::before_fork() noexcept {
  posix::pthread_sigmask(SIG_BLOCK, &mapped_, &mask_before_fork);
}

void SignalDispatcher::after_fork_in_parent() noexcept {
  posix::pthread_sigmask(SIG_SETMASK, &mask_before_fork, nullptr);
}

void SignalDispatcher::after_fork_in_child() noexcept {
  struct sigaction standard {};
  standard.sa_handler = SIG_DFL;
  for (const Installed& one : installed_) posix::sigaction(one.number, &standard, nullptr);
  inbox.owner = 0;
  wake_.close();
  stopped_.close();
  posix::pthread_sigmask(SIG_SETMASK, &mask_before_fork, nullptr);
}

}  // namespace daemonctx
