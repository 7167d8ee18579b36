// SPDX-License-Identifier: BSL-1.0

// The notes of a crashed worker, in memory that it shares with its monitor: the worker writes what it likes.

#include "fuzz.hpp"
#include "supervise/thread_note.hpp"

using namespace daemonctx;
using fuzz::require;
using process::ThreadNote;
using process::ThreadNotes;

namespace {

void fill_in(ThreadNote& note, fuzz::Input& input) {
  note.is_complete = input.flag();
  note.tid = input.number<pid_t>();
  note.program_counter = input.number<std::uint64_t>();
  note.register_count = input.number<std::size_t>();
  note.stack_begin = input.number<std::uint64_t>();
  note.stack_words = input.number<std::size_t>();
  note.registers[0] = input.number<std::uint64_t>();
  note.stack[0] = input.number<std::uint64_t>();
}

// The notes are static: they are large, and each input overwrites those that it uses.
ThreadNotes& shared_notes() {
  static ThreadNotes notes;
  return notes;
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  ThreadNotes& notes = shared_notes();
  notes.taken = input.number<std::uint32_t>();
  std::vector<CrashedThread> asked;
  for (std::size_t count = input.number() % 8U; count > 0; --count)
    asked.push_back({.tid = input.number<pid_t>(), .name = input.text(15)});
  std::size_t complete = 0;
  for (ThreadNote& note : notes.used()) {
    fill_in(note, input);
    complete += note.is_complete ? 1 : 0;
  }
  const std::vector<CrashedThread> found = read_notes(notes, asked);
  require(found.size() >= complete && found.size() <= complete + asked.size(),
          "each complete note is a thread");
  for (const CrashedThread& thread : found) {
    require(thread.registers.size() <= notes.notes[0].registers.size(), "registers are those of the note");
    require(thread.stack.size() <= ThreadNote::max_words, "a stack is that of the note");
  }
  for (const CrashedThread& thread : asked) {
    require(std::any_of(found.begin(), found.end(), [&](const auto& each) { return each.tid == thread.tid; }),
            "each thread that was asked is there");
  }
  notes.clear();
  require(notes.used().empty() && read_notes(notes, {}).empty(), "a new worker finds no notes");
  return 0;
}
