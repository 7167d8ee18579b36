// SPDX-License-Identifier: BSL-1.0
#include "process/signal_inbox.hpp"

namespace daemonctx::process {

constinit SignalInbox signal_inbox;

void SignalSlot::store(const siginfo_t& info) noexcept {
  if (writing_.exchange(true)) return;
  const bool from_process = info.si_code <= 0 || info.si_signo == SIGCHLD;
  version_.fetch_add(1);
  pid_.store(from_process ? info.si_pid : 0, std::memory_order_release);
  uid_.store(from_process ? info.si_uid : 0, std::memory_order_release);
  by_kernel_.store(!from_process, std::memory_order_release);
  value_.store(info.si_code == SI_QUEUE ? info.si_value.sival_int : 0, std::memory_order_release);
  version_.fetch_add(1);
  writing_.store(false, std::memory_order_release);
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
  held = 0;
  stop = false;
  waits_end = 0;
  waiter = pthread_t{};
  for (SignalSlot& slot : slots) slot.clear();
  if (wake.fd() != -1) wake.drain();
}

}  // namespace daemonctx::process
