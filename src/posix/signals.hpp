// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <posix/syscalls.hpp>

namespace daemonctx::posix {

/// Blocks all signals in this thread; puts the former mask back at the end of the scope.
class SignalBlock final {
 public:
  SignalBlock() noexcept {
    sigset_t all;
    sigfillset(&all);
    posix::pthread_sigmask(SIG_SETMASK, &all, &former_);
  }
  ~SignalBlock() {
    if (restores_) posix::pthread_sigmask(SIG_SETMASK, &former_, nullptr);
  }
  SignalBlock(const SignalBlock&) = delete;
  SignalBlock& operator=(const SignalBlock&) = delete;

  const sigset_t& former() const noexcept { return former_; }

  /// Leaves the signals blocked.
  void keep() noexcept { restores_ = false; }

 private:
  sigset_t former_;
  bool restores_ = true;
};

/// Sets one disposition; the former one comes back at the end of the scope.
class ScopedDisposition final {
 public:
  ScopedDisposition(int signal, void (*handler)(int)) noexcept : signal_(signal) {
    struct sigaction action {};
    action.sa_handler = handler;
    posix::sigaction(signal, &action, &former_);
  }
  ~ScopedDisposition() { posix::sigaction(signal_, &former_, nullptr); }
  ScopedDisposition(const ScopedDisposition&) = delete;
  ScopedDisposition& operator=(const ScopedDisposition&) = delete;

 private:
  int signal_;
  struct sigaction former_ {};
};

/// Sets every signal to its default. SIGKILL, SIGSTOP and those the C library keeps refuse, and need not.
/// \note Runs in the daemon before it may allocate.
inline void reset_all_dispositions() noexcept {
  struct sigaction action {};
  action.sa_handler = SIG_DFL;
  for (int signal = 1; signal < NSIG; ++signal) posix::sigaction(signal, &action, nullptr);
}

}  // namespace daemonctx::posix
