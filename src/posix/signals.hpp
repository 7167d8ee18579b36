// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cerrno>
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

/// Within its scope a write to a pipe that nobody reads, or beyond RLIMIT_FSIZE, fails and raises no signal.
class NoWriteSignal final {
 public:
  NoWriteSignal() noexcept {
    sigemptyset(&raised_by_writes_);
    sigaddset(&raised_by_writes_, SIGPIPE);
    sigaddset(&raised_by_writes_, SIGXFSZ);
    posix::pthread_sigmask(SIG_BLOCK, &raised_by_writes_, &former_);
  }
  ~NoWriteSignal() {
    const timespec now{};
    while (raised_ && posix::sigtimedwait(&raised_by_writes_, nullptr, &now) > 0) continue;
    posix::pthread_sigmask(SIG_SETMASK, &former_, nullptr);
  }
  NoWriteSignal(const NoWriteSignal&) = delete;
  NoWriteSignal& operator=(const NoWriteSignal&) = delete;

  /// Call it with the errno of a write that has failed, or 0.
  void failed(int error) noexcept { raised_ = raised_ || error == EPIPE || error == EFBIG; }

 private:
  sigset_t raised_by_writes_;
  sigset_t former_;
  bool raised_ = false;
};

/// Whether SIGCONT must follow a signal, so that a suspended process can act on it. SIGKILL needs none.
inline bool needs_continuing(int signal) noexcept {
  switch (signal) {
    case 0:
    case SIGKILL:
    case SIGCONT:
    case SIGSTOP:
    case SIGTSTP:
    case SIGTTIN:
    case SIGTTOU:
      return false;
    default:
      return true;
  }
}

/// Sets every signal to its default. SIGKILL, SIGSTOP and the C library's own signals refuse that, and do not
/// need it.
/// \note Runs in the daemon before it may allocate.
inline void reset_all_dispositions() noexcept {
  struct sigaction action {};
  action.sa_handler = SIG_DFL;
  for (int signal = 1; signal < NSIG; ++signal) posix::sigaction(signal, &action, nullptr);
}

/// Sets the signal to its default, and sends it to this process, which gets it when the handler returns. For
/// a handler that runs in a child which has only inherited it.
inline void pass_to_default(int signal) noexcept {
  struct sigaction standard {};
  standard.sa_handler = SIG_DFL;
  posix::sigaction(signal, &standard, nullptr);
  posix::kill(posix::getpid(), signal);
}

}  // namespace daemonctx::posix
