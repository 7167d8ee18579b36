// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <pthread.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

#if __has_include(<sys/single_threaded.h>)
#include <sys/single_threaded.h>
#endif

namespace daemonctx::detail {

class CleanupStack;

template <class F>
class AtScopeEnd {
 public:
  explicit AtScopeEnd(F action) : action_(std::move(action)) {}
  ~AtScopeEnd() { action_(); }
  AtScopeEnd(const AtScopeEnd&) = delete;
  AtScopeEnd& operator=(const AtScopeEnd&) = delete;

 private:
  F action_;
};

/// The place of one cleanup. It holds a small callable itself, and a pointer to a larger one. The stack uses
/// places again, and frees them only at its end. So an old handle can always compare serial numbers.
struct CleanupEntry {
  using Finish = void (*)(CleanupStack*, CleanupEntry*, bool run);

  CleanupEntry* below = nullptr;  // the next older cleanup, or the next free place
  CleanupEntry* above = nullptr;
  std::uint64_t serial = 0;  // 0: not in the stack
  Finish finish = nullptr;   // runs or drops the callable, and gives the place back
  alignas(std::max_align_t) std::array<std::byte, 32> place;
};

template <class F>
inline constexpr bool fits_in_place = sizeof(F) <= sizeof(CleanupEntry::place) &&
                                      alignof(F) <= alignof(std::max_align_t);

// A mutex of pthreads: <mutex> would take longer to compile than all of these headers. Locks only if the
// process has more than one thread: two atomic operations would cost more than the call. No thread begins
// while the lock is held, since no user code runs under it.
class CleanupLock {
 public:
  explicit CleanupLock(pthread_mutex_t& mutex) noexcept : mutex_(is_single_threaded() ? nullptr : &mutex) {
    if (mutex_ != nullptr) ::pthread_mutex_lock(mutex_);
  }
  ~CleanupLock() {
    if (mutex_ != nullptr) ::pthread_mutex_unlock(mutex_);
  }
  CleanupLock(const CleanupLock&) = delete;
  CleanupLock& operator=(const CleanupLock&) = delete;

 private:
  static bool is_single_threaded() noexcept {
#if __has_include(<sys/single_threaded.h>)
    return __libc_single_threaded != 0;
#else
    return false;
#endif
  }

  pthread_mutex_t* mutex_;
};

}  // namespace daemonctx::detail
