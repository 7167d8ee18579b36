// SPDX-License-Identifier: BSL-1.0
#include "cleanup/cleanup_timeout.hpp"

#include <system_error>
#include <utility>

#include "base/deadline.hpp"

namespace daemonctx {

CleanupWatch::CleanupWatch(std::chrono::milliseconds timeout, std::function<void()> give_up)
    : timeout_(timeout), give_up_(std::move(give_up)), deadline_(posix::deadline_in(timeout)) {
  if (timeout_ == std::chrono::milliseconds::zero()) return;
  try {
    thread_ = std::thread([this] { watch(); });
  } catch (const std::system_error&) {  // an end without a watch is better than none
    return;
  }
}

CleanupWatch::~CleanupWatch() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    over_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void CleanupWatch::rearm() {
  if (!thread_.joinable()) return;
  const std::lock_guard lock(mutex_);
  deadline_ = posix::deadline_in(timeout_);
}

void CleanupWatch::watch() {
  std::unique_lock lock(mutex_);
  while (!over_ && std::chrono::steady_clock::now() < deadline_) {
    const auto deadline = deadline_;
    changed_.wait_until(lock, deadline);
  }
  if (!over_) give_up_();
}

}  // namespace daemonctx
