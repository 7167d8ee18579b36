// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>
#include <ucontext.h>

#include <string>
#include <vector>

#include "daemonctx/crash_report.hpp"
#include "process/crash_note.hpp"

namespace daemonctx {

/// Writes this thread's registers and stack into the next free note. Async-signal-safe: neither allocates nor
/// locks. Words that are addresses neither of code nor of the noted part of the stack become zero.
void note_thread(process::ThreadNotes& threads, const ucontext_t& context) noexcept;

/// Takes down where this process has code now, for `note_thread`. Code that is loaded later is known where
/// the C library has `_dl_find_object` (glibc 2.35).
void note_code_ranges() noexcept;

/// Makes each thread of a hanging worker write its note. Waits until all have written, at most half a second.
/// \return the tids and names of these threads; the other members are empty.
std::vector<CrashedThread> ask_threads(pid_t worker, process::ThreadNotes& threads);

/// Reads the complete notes. The worker may have written anything there, so every size is checked.
/// \param asked the result of `ask_threads`. The threads that wrote no note come last, with empty stacks.
std::vector<CrashedThread> read_notes(process::ThreadNotes& threads, std::vector<CrashedThread> asked);

}  // namespace daemonctx
