// SPDX-License-Identifier: BSL-1.0
#include "supervise/crash_handler.hpp"

#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <new>
#include <posix/syscalls.hpp>
#include <span>

#include "supervise/thread_note.hpp"

namespace daemonctx {
namespace {

constexpr auto crash_signals = std::to_array({SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS});
constexpr std::size_t signals_without_stacks = 4;

// Stack for the handler itself, beside the processor's state that the kernel saves there.
constexpr std::size_t room_for_handler = 16UL * 1024;

std::size_t saved_state_size() noexcept {
#ifdef _SC_MINSIGSTKSZ
  if (const long size = ::sysconf(_SC_MINSIGSTKSZ); size > 0) return static_cast<std::size_t>(size);
#endif
  return 0;
}

void note_cause(int number, const siginfo_t& info) noexcept {
  process::CrashNote& note = *process::crash_state.own.load();
  note.address = reinterpret_cast<std::uintptr_t>(info.si_addr);
  note.pid = posix::getpid();
  note.signal = number;
}

// The first thread that crashes writes. The others wait: their death would cut it off.
void note_stack(process::ThreadNotes& threads, const ucontext_t& context) noexcept {
  while (process::crash_state.is_writing.exchange(true)) ::pause();
  note_thread(threads, context);
}

// An instruction that has raised a fault raises it once more. After a trap, a refused system call, or damage
// that was found elsewhere in memory the program would go on.
bool repeats(int number, const siginfo_t& info) noexcept {
  if (info.si_code <= 0 || number == SIGTRAP || number == SIGSYS) return false;
  return number != SIGBUS || info.si_code != BUS_MCEERR_AO;
}

void die_of(int number, const siginfo_t& info) noexcept {
  struct sigaction standard {};
  standard.sa_handler = SIG_DFL;
  posix::sigaction(number, &standard, nullptr);
  if (!repeats(number, info)) posix::kill(posix::getpid(), number);
}

void handle_crash(int number, siginfo_t* info, void* context) noexcept {
  const int saved = errno;
  const bool is_sent = info->si_code <= 0;
  process::ThreadNotes* const threads = process::crash_state.threads;
  const bool notes_stacks = threads != nullptr && posix::getpid() == process::crash_state.worker;
  if (notes_stacks && threads->asks && number == SIGABRT && is_sent) {
    note_thread(*threads, *static_cast<ucontext_t*>(context));
    errno = saved;
    return;
  }
  if (notes_stacks && threads->answered == 0) note_stack(*threads, *static_cast<ucontext_t*>(context));
  if (!is_sent) note_cause(number, *info);
  die_of(number, *info);
  errno = saved;
}

std::span<std::byte> stack_for_handler() noexcept {
  auto& handler_stack = process::crash_state.handler_stack;
  const std::size_t needed = saved_state_size() + room_for_handler;
  if (needed <= handler_stack.size()) return handler_stack;
  void* const memory =
      posix::mmap(nullptr, needed, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return handler_stack;
  return {static_cast<std::byte*>(memory), needed};
}

void use_handler_stack() noexcept {
  stack_t former{};
  if (posix::sigaltstack(nullptr, &former) == -1 || (former.ss_flags & SS_DISABLE) == 0) return;
  const std::span<std::byte> memory = stack_for_handler();
  stack_t stack{};
  stack.ss_sp = memory.data();
  stack.ss_size = memory.size();
  posix::sigaltstack(&stack, nullptr);
}

// The place of the threads' notes behind the crash note.
constexpr std::size_t page = 4096;
constexpr std::size_t size_of_notes = page + sizeof(process::ThreadNotes);
static_assert(sizeof(process::CrashNote) <= page && alignof(process::ThreadNotes) <= page);

void* shared_memory(std::size_t size) noexcept {
  void* const memory =
      posix::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return memory == MAP_FAILED ? nullptr : memory;
}

}  // namespace

process::CrashNote* share_crash_note() noexcept {
  auto& shared = process::crash_state.shared;
  if (shared != nullptr) return new (shared.load()) process::CrashNote;
  if (void* const memory = shared_memory(sizeof(process::CrashNote)))
    shared = new (memory) process::CrashNote;
  return shared;
}

// The memory is zero, which is the state of empty notes; a constructor would touch all of it.
process::ThreadNotes* share_thread_notes() noexcept {
  return static_cast<process::ThreadNotes*>(shared_memory(sizeof(process::ThreadNotes)));
}

// The file is all zero, which is the state of empty notes.
UniqueFd make_notes() noexcept {
  UniqueFd memory(posix::memfd_create("notes", MFD_CLOEXEC));
  if (!memory || posix::ftruncate(memory.get(), size_of_notes) == -1) return {};
  return memory;
}

// Another program may have notes of another size.
SharedNotes share_notes(UniqueFd memory) noexcept {
  struct stat file {};
  if (posix::fstat(memory.get(), &file) == -1) return {};
  if (static_cast<std::size_t>(file.st_size) != size_of_notes) return {};
  void* const begin =
      posix::mmap(nullptr, size_of_notes, PROT_READ | PROT_WRITE, MAP_SHARED, memory.get(), 0);
  if (begin == MAP_FAILED) return {};
  auto* const bytes = static_cast<std::byte*>(begin);
  return {std::launder(reinterpret_cast<process::CrashNote*>(bytes)),
          std::launder(reinterpret_cast<process::ThreadNotes*>(bytes + page)), std::move(memory)};
}

void note_crashes(process::CrashNote* note, process::ThreadNotes* threads) noexcept {
  if (note == nullptr) return;
  auto& state = process::crash_state;
  state.own = note;
  state.threads = threads;
  state.worker = posix::getpid();
  state.is_writing = false;
  if (threads != nullptr) note_code_ranges();
  use_handler_stack();
  const std::span signals(crash_signals);
  for (const int number : threads != nullptr ? signals : signals.first(signals_without_stacks)) {
    struct sigaction former {};
    if (posix::sigaction(number, nullptr, &former) == -1 || former.sa_handler != SIG_DFL) continue;
    struct sigaction noting {};
    noting.sa_sigaction = handle_crash;
    sigfillset(&noting.sa_mask);
    noting.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
    const bool is_set = posix::sigaction(number, &noting, nullptr) == 0;
    if (threads != nullptr && number == SIGABRT && is_set) threads->may_ask = true;
  }
}

}  // namespace daemonctx
