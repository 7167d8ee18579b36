// SPDX-License-Identifier: BSL-1.0
#include "signals/inbox.hpp"

#include <cerrno>
#include <posix/syscalls.hpp>

#include "process/owner.hpp"

namespace daemonctx {

constinit SignalInbox signal_inbox;

namespace {

// A child of vfork(2) has dispositions of its own, though it shares the memory. The signal is blocked until the handler
// returns.
void pass_to_default(int number) noexcept {
  struct sigaction standard {};
  standard.sa_handler = SIG_DFL;
  posix::sigaction(number, &standard, nullptr);
  posix::kill(posix::getpid(), number);
}

}  // namespace

void SignalSlot::store(const siginfo_t& info) noexcept {
  if (writing_.exchange(true)) return;
  const bool from_process = info.si_code <= 0 || info.si_signo == SIGCHLD;
  version_.fetch_add(1);
  pid_ = from_process ? info.si_pid : 0;
  uid_ = from_process ? info.si_uid : 0;
  by_kernel_ = !from_process;
  value_ = info.si_code == SI_QUEUE ? info.si_value.sival_int : 0;
  version_.fetch_add(1);
  writing_ = false;
}

SignalInfo SignalSlot::load(int number) const noexcept {
  for (;;) {
    const unsigned before = version_;
    const SignalInfo info{number, pid_, uid_, value_, by_kernel_};
    if (before % 2 == 0 && before == version_) return info;
  }
}

void SignalSlot::clear() noexcept {
  writing_ = false;
  version_ = 0;
}

void SignalInbox::clear() noexcept {
  pending = 0;
  terminating = 0;
  stop = false;
  waits_end = 0;
  waiter = pthread_t{};
  for (SignalSlot& slot : slots) slot.clear();
  if (wake.fd() != -1) wake.drain();
}

void SignalInbox::note_stop() noexcept {
  stop = true;
  end_waits();
}

void SignalInbox::end_waits() noexcept {
  waits_end = 1;
  posix::futex_wake(waits_end);
}

void SignalInbox::receive(int number, const siginfo_t& info) noexcept {
  // The thread inside ppoll(2) is nobody's vfork child; any other may be one, and has to ask.
  const bool waits = waiter == ::pthread_self();
  if (!waits && (owner != posix::getpid() || !process::is_owner())) return pass_to_default(number);
  if (!receives) return;
  slots[static_cast<std::size_t>(number)].store(info);
  const bool stops = (terminating & signal_bit(number)) != 0;
  if (stops) note_stop();
  pending.fetch_or(signal_bit(number));
  // A stop is for other waiting threads too, at once: this one may have slow actions to run first.
  if (!waits || stops) wake.notify();
}

void note_signal(int number, siginfo_t* info, void*) noexcept {
  const int saved = errno;
  signal_inbox.receive(number, *info);
  errno = saved;
}

}  // namespace daemonctx
