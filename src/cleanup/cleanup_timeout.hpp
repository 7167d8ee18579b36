// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace daemonctx {

/// Calls `give_up`, on a thread of its own, if `rearm` is not called again in time.
class CleanupWatch {
 public:
  /// Without a timeout, or where no thread can be had, it watches nothing.
  CleanupWatch(std::chrono::milliseconds timeout, std::function<void()> give_up);
  ~CleanupWatch();
  CleanupWatch(const CleanupWatch&) = delete;
  CleanupWatch& operator=(const CleanupWatch&) = delete;

  /// The time begins anew. Thread-safe.
  void rearm();

 private:
  void watch();

  std::chrono::milliseconds timeout_;
  std::function<void()> give_up_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::chrono::steady_clock::time_point deadline_;
  bool over_ = false;
  std::thread thread_;
};

}  // namespace daemonctx
