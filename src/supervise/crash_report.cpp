// SPDX-License-Identifier: BSL-1.0
#include "supervise/crash_report.hpp"

#include <sys/mman.h>

#include <array>
#include <new>
#include <posix/syscalls.hpp>

namespace daemonctx::posix {
namespace {

constexpr std::array crash_signals = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};

CrashNote* crash_note = nullptr;

// Large enough for the handler and what the processor saves, small enough to be there always.
alignas(64) std::array<std::byte, 32UL * 1024> handler_stack;

// The disposition is the default again (SA_RESETHAND): where an instruction raised the signal it does so once more.
void leave_note(int number, siginfo_t* info, void*) noexcept {
  if (info->si_code <= 0) {
    posix::kill(posix::getpid(), number);
    return;
  }
  crash_note->address = reinterpret_cast<std::uintptr_t>(info->si_addr);
  crash_note->pid = posix::getpid();
  crash_note->signal = number;
}

void use_handler_stack() noexcept {
  stack_t former{};
  if (posix::sigaltstack(nullptr, &former) == -1 || (former.ss_flags & SS_DISABLE) == 0) return;
  stack_t stack{};
  stack.ss_sp = handler_stack.data();
  stack.ss_size = handler_stack.size();
  posix::sigaltstack(&stack, nullptr);
}

}  // namespace

CrashNote* share_crash_note() noexcept {
  static void* memory = MAP_FAILED;  // stays: a worker's handler may use it at any time
  if (memory == MAP_FAILED) {
    memory =
        posix::mmap(nullptr, sizeof(CrashNote), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  }
  return memory == MAP_FAILED ? nullptr : new (memory) CrashNote;
}

void note_crashes(CrashNote* note) noexcept {
  if (note == nullptr) return;
  crash_note = note;
  use_handler_stack();
  for (const int number : crash_signals) {
    struct sigaction former {};
    if (posix::sigaction(number, nullptr, &former) == -1 || former.sa_handler != SIG_DFL) continue;
    struct sigaction noting {};
    noting.sa_sigaction = leave_note;
    noting.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESETHAND;
    posix::sigaction(number, &noting, nullptr);
  }
}

}  // namespace daemonctx::posix
