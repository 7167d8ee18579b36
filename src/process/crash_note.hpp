// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace daemonctx::process {

/// What a crashing process leaves for another one, in memory that they share: wait(2) tells the signal, but
/// not the address. Only for signals that an instruction of the process raised.
struct CrashNote {
  std::atomic<int> signal = 0;
  std::atomic<int> pid = 0;  ///< whose; forked children leave theirs too
  std::atomic<std::uintptr_t> address = 0;
};

static_assert(std::atomic<int>::is_always_lock_free && std::atomic<std::uintptr_t>::is_always_lock_free);

/// What the handler of crashes uses, from the first one on to the end of the process.
struct CrashState {
  std::atomic<CrashNote*> shared = nullptr;  ///< memory that forked children share
  std::atomic<CrashNote*> own = nullptr;     ///< where this process leaves its note; nullptr: it leaves none
  /// Every handler blocks all signals, so that no two lie on it at once.
  alignas(64) std::array<std::byte, 32UL * 1024> handler_stack = {};
};

extern constinit CrashState crash_state;

}  // namespace daemonctx::process
