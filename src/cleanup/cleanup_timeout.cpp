// SPDX-License-Identifier: BSL-1.0
#include "cleanup/cleanup_timeout.hpp"

#include <system_error>
#include <utility>

#include "posix/signals.hpp"

namespace daemonctx {

// The thread takes no signals: a handler may belong to the thread that runs the cleanups.
CleanupTimeout::CleanupTimeout(Timeout timeout, std::function<void()> give_up)
    : timeout_(timeout), give_up_(std::move(give_up)) {
  const posix::SignalBlock blocked;
  try {
    thread_ = std::thread([this] { watch(); });
  } catch (const std::system_error&) {
    static_cast<void>(0);
  }
}

CleanupTimeout::~CleanupTimeout() {
  if (!thread_.joinable()) return;
  over_ = true;
  rearm();
  thread_.join();
}

void CleanupTimeout::rearm() noexcept {
  ++rearmed_;
  posix::futex_wake(rearmed_);
}

// `watch` reads the count before `over_`. The destructor sets `over_` before it counts, so `watch` sees one
// of both.
void CleanupTimeout::watch() {
  for (;;) {
    const std::uint32_t seen = rearmed_;
    if (over_) return;
    HangWatch watch(timeout_);
    while (rearmed_ == seen && !watch.has_expired(posix::Clock::now())) {
      posix::futex_wait(rearmed_, seen, watch.next_look(posix::Clock::now()));
    }
    if (rearmed_ == seen) give_up_();
  }
}

}  // namespace daemonctx
