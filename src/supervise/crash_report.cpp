// SPDX-License-Identifier: BSL-1.0
#include "supervise/crash_report.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <new>
#include <posix/syscalls.hpp>
#include <span>

namespace daemonctx {
namespace {

constexpr auto crash_signals = std::to_array({SIGSEGV, SIGBUS, SIGFPE, SIGILL});

// Stack for the handler itself, beside the processor's state that the kernel saves there.
constexpr std::size_t room_for_handler = 16UL * 1024;

std::size_t saved_state_size() noexcept {
#ifdef _SC_MINSIGSTKSZ
  if (const long size = ::sysconf(_SC_MINSIGSTKSZ); size > 0) return static_cast<std::size_t>(size);
#endif
  return 0;
}

// SA_RESETHAND has set the default disposition again: an instruction that raised the signal raises it once
// more. A signal that a process sent must be sent again.
void leave_note(int number, siginfo_t* info, void*) noexcept {
  if (info->si_code <= 0) {
    posix::kill(posix::getpid(), number);
    return;
  }
  process::CrashNote& note = *process::crash_state.own.load();
  note.address = reinterpret_cast<std::uintptr_t>(info->si_addr);
  note.pid = posix::getpid();
  note.signal = number;
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

}  // namespace

process::CrashNote* share_crash_note() noexcept {
  auto& shared = process::crash_state.shared;
  if (shared != nullptr) return new (shared.load()) process::CrashNote;
  void* const memory = posix::mmap(nullptr, sizeof(process::CrashNote), PROT_READ | PROT_WRITE,
                                   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory != MAP_FAILED) shared = new (memory) process::CrashNote;
  return shared;
}

void note_crashes(process::CrashNote* note) noexcept {
  if (note == nullptr) return;
  process::crash_state.own = note;
  use_handler_stack();
  for (const int number : crash_signals) {
    struct sigaction former {};
    if (posix::sigaction(number, nullptr, &former) == -1 || former.sa_handler != SIG_DFL) continue;
    struct sigaction noting {};
    noting.sa_sigaction = leave_note;
    sigfillset(&noting.sa_mask);
    noting.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESETHAND;
    posix::sigaction(number, &noting, nullptr);
  }
}

}  // namespace daemonctx
