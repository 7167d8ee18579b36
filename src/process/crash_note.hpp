// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace daemonctx::process {

/// A crashing process leaves this note for another one in shared memory: wait(2) tells the signal, but not
/// the address. The note covers only signals that an instruction of the process raised.
struct CrashNote {
  std::atomic<int> signal = 0;
  std::atomic<int> pid = 0;  ///< the crashed process; forked children leave notes too
  std::atomic<std::uintptr_t> address = 0;
};

static_assert(std::atomic<int>::is_always_lock_free && std::atomic<std::uintptr_t>::is_always_lock_free);

/// The state of the crash handler, in use from the first handler on to the end of the process.
struct CrashState {
  std::atomic<CrashNote*> shared = nullptr;  ///< memory that forked children share
  std::atomic<CrashNote*> own = nullptr;     ///< the note of this process; it leaves none if nullptr
  /// Every handler blocks all signals, so that no two handlers use the stack at once.
  alignas(64) std::array<std::byte, 32UL * 1024> handler_stack = {};
};

extern constinit CrashState crash_state;

}  // namespace daemonctx::process
