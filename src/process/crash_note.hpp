// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "posix/futex.hpp"

namespace daemonctx::process {

/// A crashing process leaves this note for another one in shared memory: wait(2) tells the signal, but not
/// the address. The note covers only signals that an instruction of the process raised.
struct CrashNote {
  std::atomic<int> signal = 0;
  std::atomic<int> pid = 0;  ///< the crashed process; forked children leave notes too
  std::atomic<std::uintptr_t> address = 0;
};

static_assert(std::atomic<int>::is_always_lock_free && std::atomic<std::uintptr_t>::is_always_lock_free);

/// A thread's registers and stack. The memory is used only when a thread fills it in.
struct ThreadNote {
  static constexpr std::size_t max_words = 8192;

  std::atomic<bool> is_complete = false;
  std::atomic<pid_t> tid;
  std::atomic<std::uintptr_t> program_counter;
  std::array<std::uint64_t, 33> registers;  ///< by their DWARF numbers
  std::atomic<std::size_t> register_count;
  std::atomic<std::uintptr_t> stack_begin;
  std::atomic<std::size_t> stack_words;
  std::array<std::uint64_t, max_words> stack;
};

/// The notes of a worker's threads, in memory that it shares with its monitor.
struct ThreadNotes {
  std::atomic<bool> may_ask = false;  ///< the worker's handler of SIGABRT answers
  std::atomic<bool> asks = false;     ///< while true, SIGABRT makes a thread write its note and go on
  std::atomic<unsigned> taken = 0;    ///< number of threads that took a note, or found none left
  posix::FutexWord answered = 0;      ///< number of threads that have finished their notes
  std::array<ThreadNote, 32> notes;

  /// The notes that threads took. The others are never touched, so they use no memory.
  std::span<ThreadNote> used() noexcept {
    return std::span(notes).first(std::min<std::size_t>(taken, notes.size()));
  }

  void clear() noexcept {
    may_ask = false;
    asks = false;
    for (ThreadNote& note : used()) note.is_complete = false;
    taken = 0;
    answered = 0;
  }
};

/// Addresses of code.
struct CodeRange {
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;
};

/// The state of the crash handler, in use from the first handler on to the end of the process.
struct CrashState {
  std::atomic<CrashNote*> shared = nullptr;     ///< memory that forked children share
  std::atomic<CrashNote*> own = nullptr;        ///< the note of this process; it leaves none if nullptr
  std::atomic<ThreadNotes*> threads = nullptr;  ///< nullptr: nobody wants stacks
  std::atomic<pid_t> worker = 0;                ///< only this process writes stacks
  std::atomic<bool> is_writing = false;         ///< the first thread that crashed
  std::atomic<std::size_t> range_count = 0;
  std::array<CodeRange, 256> ranges = {};
  /// Every handler blocks all signals, so that no two handlers use the stack at once.
  alignas(64) std::array<std::byte, 32UL * 1024> handler_stack = {};
};

extern constinit CrashState crash_state;

}  // namespace daemonctx::process
