// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <pthread.h>

#include <atomic>

#include "posix/futex.hpp"

namespace daemonctx::posix {

/// Lets one thread at a time do work that may take long or call user code. It is no lock: fork(2) need not
/// wait for it, since a forked child has no turn to take. A thread that enters its own turn again does not
/// wait for itself.
class Turn {
 public:
  /// One turn. The constructor waits for another thread's turn to end.
  class Scope {
   public:
    explicit Scope(Turn& turn) noexcept : turn_(turn), is_nested_(!turn.take()) {}
    ~Scope() {
      if (!is_nested_) turn_.give_back();
    }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

    /// True if this thread had the turn already, and is in the middle of its work.
    bool is_nested() const noexcept { return is_nested_; }

   private:
    Turn& turn_;
    bool is_nested_;
  };

 private:
  // Returns false if this thread has the turn already.
  bool take() noexcept {
    for (;;) {
      const std::uint32_t seen = changes_;
      pthread_t by{};
      if (taken_by_.compare_exchange_strong(by, ::pthread_self())) return true;
      if (by == ::pthread_self()) return false;
      ++waiting_;
      futex_wait(changes_, seen, Clock::time_point::max());
      --waiting_;
    }
  }
  void give_back() noexcept {
    taken_by_ = pthread_t{};
    ++changes_;
    if (waiting_ != 0) futex_wake(changes_);
  }

  std::atomic<pthread_t> taken_by_ = {};
  FutexWord changes_ = 0;
  std::atomic<unsigned> waiting_ = 0;
};

}  // namespace daemonctx::posix
