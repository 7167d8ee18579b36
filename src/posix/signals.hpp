// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <ctime>
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

/// Within it a write to a pipe that nobody reads is an error and no signal.
class NoBrokenPipeSignal final {
 public:
  NoBrokenPipeSignal() noexcept {
    sigemptyset(&broken_pipe_);
    sigaddset(&broken_pipe_, SIGPIPE);
    posix::pthread_sigmask(SIG_BLOCK, &broken_pipe_, &former_);
  }
  ~NoBrokenPipeSignal() {
    const timespec now{};
    if (raised_) posix::sigtimedwait(&broken_pipe_, nullptr, &now);
    posix::pthread_sigmask(SIG_SETMASK, &former_, nullptr);
  }
  NoBrokenPipeSignal(const NoBrokenPipeSignal&) = delete;
  NoBrokenPipeSignal& operator=(const NoBrokenPipeSignal&) = delete;

  /// To be called when a write has failed with EPIPE.
  void raised() noexcept { raised_ = true; }

 private:
  sigset_t broken_pipe_;
  sigset_t former_;
  bool raised_ = false;
};

/// Sets every signal to its default. SIGKILL, SIGSTOP and those the C library keeps refuse, and need not.
/// \note Runs in the daemon before it may allocate.
inline void reset_all_dispositions() noexcept {
  struct sigaction action {};
  action.sa_handler = SIG_DFL;
  for (int signal = 1; signal < NSIG; ++signal) posix::sigaction(signal, &action, nullptr);
}

}  // namespace daemonctx::posix
