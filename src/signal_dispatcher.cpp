// SPDX-License-Identifier: BSL-1.0
#include "signal_dispatcher.hpp"

#include <cxxabi.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <posix/syscalls.hpp>

#include "posix/deadline.hpp"
#include "posix/retry.hpp"

namespace daemonctx {
namespace {

using posix::Clock;

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

  void clear() noexcept {
    writing_ = false;
    version_ = 0;
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
  posix::WakeFd wake;                  // never closed but in a child
  std::array<Slot, NSIG> slots;

  // What a fork or an earlier context may have left half done.
  void clear() noexcept {
    pending = 0;
    terminating = 0;
    stop = false;
    waiter = pthread_t{};
    for (Slot& slot : slots) slot.clear();
    if (wake.fd() != -1) wake.drain();
  }

  void receive(int number, const siginfo_t& info) noexcept {
    slots[static_cast<std::size_t>(number)].store(info);
    if ((terminating & bit(number)) != 0) stop = true;
    pending.fetch_or(bit(number));
    if (waiter != ::pthread_self()) wake.notify();
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

// An empty handler would make a read or write of a background process start again for ever.
bool is_job_control(int number) noexcept { return number == SIGTTIN || number == SIGTTOU; }

struct sigaction disposition(int number, const SignalAction& action, bool detached) noexcept {
  struct sigaction result {};
  result.sa_flags = SA_ONSTACK;
  if (is(action, StandardAction::restore_default)) {
    result.sa_handler = SIG_DFL;
  } else if (is(action, StandardAction::ignore) &&
             (number == SIGCHLD || (is_job_control(number) && !detached))) {
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
  storage = posix::time_left(*deadline);
  return &storage;
}

bool passed(const SignalDispatcher::Deadline& deadline) noexcept {
  return deadline && *deadline <= Clock::now();
}

void reap_all_children() noexcept {
  while (posix::retry([] { return posix::waitpid(-1, nullptr, WNOHANG); }) > 0) {
  }
}

// This thread is the waiter, and handles mapped signals only inside ppoll(2), until the end of the scope; also if
// the thread is cancelled there.
class WaiterScope {
 public:
  explicit WaiterScope(const sigset_t& mapped) noexcept {
    posix::pthread_sigmask(SIG_BLOCK, &mapped, &former_);
    inbox.waiter = ::pthread_self();
  }
  ~WaiterScope() {
    inbox.waiter = pthread_t{};
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
    // A stop is for every thread that waits, but the descriptor wakes only the one that drains it.
    if (--count_ > 0 && inbox.stop) inbox.wake.notify();
  }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;

 private:
  std::atomic<int>& count_;
};

thread_local sigset_t mask_before_fork;

}  // namespace

SignalDispatcher::SignalDispatcher(const SignalMap& map, Hooks hooks) : hooks_(std::move(hooks)) {
  for (const auto& [number, action] : map) map_[number] = std::make_shared<const SignalAction>(action);
  installed_.reserve(map_.size() + 1);
  sigemptyset(&mapped_);
  posix::pthread_sigmask(SIG_SETMASK, nullptr, &former_mask_);
}

int SignalDispatcher::fd() noexcept { return inbox.wake.fd(); }

int SignalDispatcher::install(bool detached) noexcept {
  if (inbox.wake.fd() == -1) {
    if (const int error = inbox.wake.open()) return error;
  }
  installs_ = true;
  detached_ = detached;
  inbox.clear();
  inbox.owner = posix::getpid();
  for (const auto& [number, action] : map_) {
    if (const int error = install_one(number, *action)) return error;
  }
  if (!detached) return posix::pthread_sigmask(SIG_UNBLOCK, &mapped_, &former_mask_);
  sigemptyset(&former_mask_);
  return posix::pthread_sigmask(SIG_SETMASK, &former_mask_, nullptr);
}

int SignalDispatcher::install_one(int number, const SignalAction& action) noexcept {
  if (is(action, StandardAction::terminate)) inbox.terminating |= bit(number);
  else inbox.terminating &= ~bit(number);
  const struct sigaction wanted = disposition(number, action, detached_);
  struct sigaction former {};
  if (posix::sigaction(number, &wanted, &former) == -1) return errno;
  if (sigismember(&mapped_, number) == 0) installed_.push_back({number, former});
  sigaddset(&mapped_, number);
  return 0;
}

void SignalDispatcher::map(int number, SignalAction action) {
  auto entry = std::make_shared<const SignalAction>(std::move(action));
  {
    const std::lock_guard lock(map_mutex_);
    installed_.reserve(installed_.size() + 1);
    map_[number] = entry;
    if (const int error = install_one(number, *entry))
      throw std::system_error(error, std::generic_category());
  }
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

void SignalDispatcher::start_thread() {
  if (const int error = stopped_.open()) throw std::system_error(error, std::generic_category());
  thread_ = std::thread([this] { deliver(); });
}

void SignalDispatcher::stop_thread(bool waits) noexcept {
  if (!thread_.joinable()) return;
  quits_ = true;
  inbox.wake.notify();
  if (waits && thread_.get_id() != std::this_thread::get_id()) thread_.join();
  else thread_.detach();  // the process is about to end
}

void SignalDispatcher::deliver() {
  pollfd readable{fd(), POLLIN, 0};
  while (!quits_) {
    posix::poll(&readable, 1, -1);
    inbox.wake.drain();
    run_pending();
  }
}

void SignalDispatcher::uninstall() noexcept {
  stop_thread(true);
  if (!std::exchange(installs_, false)) return;
  for (const Installed& one : installed_) posix::sigaction(one.number, &one.former, nullptr);
  posix::pthread_sigmask(SIG_SETMASK, &former_mask_, nullptr);
  inbox.owner = 0;
}

bool SignalDispatcher::wait_until(const Deadline& deadline) {
  if (!installs_) return true;
  return stopped_.fd() == -1 ? wait_and_dispatch(deadline) : wait_for_stop(deadline);
}

bool SignalDispatcher::wait_and_dispatch(const Deadline& deadline) {
  const Counted waits(waiting_);
  run_pending();
  while (!inbox.stop && !passed(deadline)) {
    sleep_until(deadline);
    run_pending();
  }
  return inbox.stop;
}

void SignalDispatcher::sleep_until(const Deadline& deadline) {
  pollfd readable{fd(), POLLIN, 0};
  timespec storage{};
  const WaiterScope scope(mapped_);
  if (inbox.pending != 0 || inbox.stop) return;
  if (posix::ppoll(&readable, 1, time_left(deadline, storage), &scope.former()) > 0) inbox.wake.drain();
}

bool SignalDispatcher::wait_for_stop(const Deadline& deadline) {
  pollfd readable{stopped_.fd(), POLLIN, 0};
  timespec storage{};
  while (!inbox.stop && !passed(deadline)) posix::ppoll(&readable, 1, time_left(deadline, storage), nullptr);
  return inbox.stop;
}

void SignalDispatcher::dispatch() {
  inbox.wake.drain();
  run_pending();
}

void SignalDispatcher::run_pending() {
  while (std::uint64_t arrived = inbox.pending.exchange(0)) {
    for (; arrived != 0; arrived &= arrived - 1) run(std::countr_zero(arrived) + 1);
  }
}

void SignalDispatcher::run(int number) {
  const Entry entry = find(number);
  if (!entry) return;
  try {
    if (const auto* standard = std::get_if<StandardAction>(entry.get())) return act(*standard);
    std::get<1> (*entry)(inbox.slots[static_cast<std::size_t>(number)].load(number));
  } catch (const abi::__forced_unwind&) {  // the thread is cancelled, and must go on being so
    throw;
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
  // Before the callbacks of the token: one of them may wait for a thread that waits here.
  if (stopped_.fd() != -1) stopped_.notify();
  inbox.wake.notify();
  stop_source_.request_stop();
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
  installs_ = false;
  inbox.owner = 0;
  inbox.wake.close();
  stopped_.close();
  posix::pthread_sigmask(SIG_SETMASK, &mask_before_fork, nullptr);
}

}  // namespace daemonctx
