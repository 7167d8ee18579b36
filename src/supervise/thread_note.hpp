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

/// Asks each thread of a hanging worker for its note, and waits until all have answered, at most half a
/// second.
/// \return the threads with their names, and nothing else.
std::vector<CrashedThread> ask_threads(pid_t worker, process::ThreadNotes& threads);

/// Reads complete notes, trusting nothing that a worker may have written there. A thread of `asked` without a
/// note comes last, without a stack.
std::vector<CrashedThread> read_notes(const process::ThreadNotes& threads, std::vector<CrashedThread> asked);

}  // namespace daemonctx
