// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "process/crash_note.hpp"

namespace daemonctx {

/// Memory for one, that forked children share. nullptr if there is none to be had; then there are no notes.
process::CrashNote* share_crash_note() noexcept;

/// From now on this process notes its crash, and dies of it as it would have. Signals that somebody handles
/// are left to him. Also where the stack has overflowed, in this thread.
void note_crashes(process::CrashNote* note) noexcept;

}  // namespace daemonctx
