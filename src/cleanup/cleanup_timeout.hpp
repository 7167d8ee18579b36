// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <functional>
#include <thread>

#include "base/hang_watch.hpp"
#include "posix/futex.hpp"

namespace daemonctx {

/// Calls `give_up` on its own thread whenever `timeout` passes without `rearm`. A pause of the process does
/// not count.
class CleanupTimeout {
 public:
  /// If no thread can be created, nothing is watched: an end without a watch is better than none.
  CleanupTimeout(Timeout timeout, std::function<void()> give_up);
  ~CleanupTimeout();
  CleanupTimeout(const CleanupTimeout&) = delete;
  CleanupTimeout& operator=(const CleanupTimeout&) = delete;

  /// Begins the timeout anew. Thread-safe.
  void rearm() noexcept;

 private:
  void watch();

  Timeout timeout_;
  std::function<void()> give_up_;
  std::atomic<bool> over_ = false;
  posix::FutexWord rearmed_ = 0;
  std::thread thread_;
};

}  // namespace daemonctx
