// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <linux/futex.h>

#include <atomic>
#include <cstdint>
#include <posix/syscalls.hpp>

#include "base/deadline.hpp"

namespace daemonctx::posix {

/// A word that threads wait on. Unlike a condition variable it holds nothing that a forked child could own or
/// destroy.
using FutexWord = std::atomic<std::uint32_t>;
static_assert(sizeof(FutexWord) == sizeof(std::uint32_t) && FutexWord::is_always_lock_free);

/// Waits while `word` is `expected`, until `futex_wake` or the deadline; may return early (futex(2)).
inline void futex_wait(const FutexWord& word, std::uint32_t expected, Clock::time_point deadline) noexcept {
  const timespec left = time_left(deadline);
  posix::syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, expected, &left, nullptr, 0);
}

/// Wakes every thread of this process that waits on the word. Async-signal-safe.
inline void futex_wake(const FutexWord& word) noexcept {
  constexpr int everybody = 0x7fffffff;
  posix::syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, everybody, nullptr, nullptr, 0);
}

}  // namespace daemonctx::posix
