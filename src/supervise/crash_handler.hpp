// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "posix/unique_fd.hpp"
#include "process/crash_note.hpp"

namespace daemonctx {

/// Memory for one note, which forked children share. nullptr if there is no memory; then no crash is noted.
process::CrashNote* share_crash_note() noexcept;

/// Memory for the notes of threads. \copydetails share_crash_note
process::ThreadNotes* share_thread_notes() noexcept;

/// Both kinds of notes, in a file in memory that another program can share, too.
struct SharedNotes {
  process::CrashNote* crash = nullptr;
  process::ThreadNotes* threads = nullptr;
  UniqueFd memory = {};
};

/// Makes such a file. \return empty if there is no memory.
UniqueFd make_notes() noexcept;

/// \param memory of `make_notes`, of this program or of another one. \return empty if it can't be used.
SharedNotes share_notes(UniqueFd memory) noexcept;

/// From now on this process notes its crash, and dies of it as before. A signal that has a handler already,
/// or is ignored, stays as it is. In this thread a stack overflow is noted, too.
/// \param threads where the stack goes; nullptr: no stack is noted, and no signal but SIGSEGV, SIGBUS, SIGFPE
///   and SIGILL.
void note_crashes(process::CrashNote* note, process::ThreadNotes* threads) noexcept;

}  // namespace daemonctx
