// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <poll.h>
#include <signal.h>

#include <posix/syscalls.hpp>
#include <span>

#include "base/deadline.hpp"

namespace daemonctx::posix {

/// Calls ppoll(2) until a deadline. For `time_point::max()` it passes no timeout: with one, the kernel would
/// start and cancel a timer in each call.
/// \param mask the signals that are blocked meanwhile; nullptr: no change.
/// \return the number of descriptors with events, 0 at the deadline, or -1 with errno.
inline int poll_until(std::span<pollfd> events, Clock::time_point deadline, const sigset_t* mask) {
  const bool is_limited = deadline != Clock::time_point::max();
  const timespec left = is_limited ? time_left(deadline) : timespec{};
  return posix::ppoll(events.data(), events.size(), is_limited ? &left : nullptr, mask);
}

}  // namespace daemonctx::posix
