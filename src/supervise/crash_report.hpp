// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>
#include <cstdint>

namespace daemonctx::posix {

/// What a crashing process leaves for another one, in memory that they share: wait(2) tells the signal, but not the
/// address. Only for signals that an instruction of the process raised.
struct CrashNote {
  std::atomic<int> signal = 0;
  std::atomic<int> pid = 0;  ///< whose; forked children leave theirs too
  std::atomic<std::uintptr_t> address = 0;
};

static_assert(std::atomic<int>::is_always_lock_free && std::atomic<std::uintptr_t>::is_always_lock_free);

/// Memory for one, that forked children share. nullptr if there is none to be had; then there are no notes.
CrashNote* share_crash_note() noexcept;

/// From now on this process notes its crash, and dies of it as it would have. Signals that somebody handles are left to
/// him. Also where the stack has overflowed, in this thread.
void note_crashes(CrashNote* note) noexcept;

}  // namespace daemonctx::posix
