// SPDX-License-Identifier: BSL-1.0
#include "supervise/thread_note.hpp"

#include <dlfcn.h>
#include <link.h>

#include <algorithm>
#include <cerrno>
#include <posix/syscalls.hpp>
#include <span>
#include <utility>

#include "base/deadline.hpp"
#include "base/graces.hpp"
#include "posix/proc_fs.hpp"

namespace daemonctx {
namespace {

using process::CodeRange;
using process::crash_state;
using process::ThreadNote;
using process::ThreadNotes;

constexpr std::size_t word_size = sizeof(std::uint64_t);
constexpr std::uintptr_t page_size = 4096;  // or a part of a page

// ---- In the thread that crashed.

#if defined(__x86_64__)

constexpr std::array register_order{REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI,
                                    REG_RBP, REG_RSP, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                    REG_R12, REG_R13, REG_R14, REG_R15, REG_RIP};

std::uint64_t register_of(const ucontext_t& context, std::size_t number) noexcept {
  return static_cast<std::uint64_t>(context.uc_mcontext.gregs[register_order[number]]);
}
constexpr std::size_t register_count = register_order.size();
std::uintptr_t stack_pointer(const ucontext_t& context) noexcept { return register_of(context, 7); }
std::uintptr_t program_counter(const ucontext_t& context) noexcept { return register_of(context, 16); }

#elif defined(__aarch64__)

constexpr std::size_t register_count = 32;
std::uintptr_t stack_pointer(const ucontext_t& context) noexcept { return context.uc_mcontext.sp; }
std::uintptr_t program_counter(const ucontext_t& context) noexcept { return context.uc_mcontext.pc; }
std::uint64_t register_of(const ucontext_t& context, std::size_t number) noexcept {
  return number == 31 ? context.uc_mcontext.sp : context.uc_mcontext.regs[number];
}

#else

constexpr std::size_t register_count = 0;
std::uintptr_t stack_pointer(const ucontext_t&) noexcept { return 0; }
std::uintptr_t program_counter(const ucontext_t&) noexcept { return 0; }
std::uint64_t register_of(const ucontext_t&, std::size_t) noexcept { return 0; }

#endif

// Let the kernel try: a direct read could crash again. The call reads a mask at the address, and fails with
// EINVAL because the first argument is wrong.
bool is_readable(std::uintptr_t address) noexcept {
  return posix::syscall(SYS_rt_sigprocmask, ~0UL, address, nullptr, word_size) == 0 || errno != EFAULT;
}

void* pointer(std::uintptr_t address) noexcept {
  return reinterpret_cast<void*>(address);  // NOLINT(performance-no-int-to-ptr): of a register or the stack
}

bool is_loaded_code([[maybe_unused]] std::uintptr_t address) noexcept {
#ifdef DLFO_STRUCT_HAS_EH_DBASE
  dl_find_object found;
  return _dl_find_object(pointer(address), &found) == 0;
#else
  return false;
#endif
}

bool is_code(std::uintptr_t address) noexcept {
  const std::span ranges = std::span(crash_state.ranges).first(crash_state.range_count);
  const auto after =
      std::upper_bound(ranges.begin(), ranges.end(), address,
                       [](std::uintptr_t value, const CodeRange& range) { return value < range.begin; });
  if (after != ranges.begin() && address < std::prev(after)->end) return true;
  return is_loaded_code(address);
}

class Stack {
 public:
  // A stack that has overflowed can't be read where the stack pointer is.
  explicit Stack(std::uintptr_t pointer) noexcept : begin_(pointer / word_size * word_size) {
    constexpr int most_pages_past_the_end = 64;
    for (int page = 0; page < most_pages_past_the_end && !is_readable(begin_); ++page)
      begin_ = (begin_ / page_size + 1) * page_size;
  }

  std::uintptr_t begin() const noexcept { return begin_; }
  bool holds(std::uint64_t value) const noexcept {
    return value >= begin_ && value - begin_ < ThreadNote::max_words * word_size;
  }
  // No secrets: a word that is no address of interest becomes zero.
  std::uint64_t without_secret(std::uint64_t value) const noexcept {
    return holds(value) || is_code(value) ? value : 0;
  }
  std::size_t copy(std::span<std::uint64_t> to) const noexcept {
    std::size_t count = 0;
    for (; count < to.size(); ++count) {
      const std::uintptr_t address = begin_ + count * word_size;
      if ((count == 0 || address % page_size == 0) && !is_readable(address)) break;
      to[count] = without_secret(*static_cast<const std::uint64_t*>(pointer(address)));
    }
    return count;
  }

 private:
  std::uintptr_t begin_;
};

void fill_in(ThreadNote& note, const ucontext_t& context) noexcept {
  const Stack stack(stack_pointer(context));
  note.tid = static_cast<pid_t>(posix::syscall(SYS_gettid));
  note.program_counter = program_counter(context);
  note.register_count = register_count;
  for (std::size_t number = 0; number < register_count; ++number)
    note.registers[number] = stack.without_secret(register_of(context, number));
  note.stack_begin = stack.begin();
  note.stack_words = stack.copy(note.stack);
}

int add_code_ranges(dl_phdr_info* info, std::size_t, void*) noexcept {
  for (const auto& header : std::span(info->dlpi_phdr, info->dlpi_phnum)) {
    std::size_t count = crash_state.range_count;
    if (header.p_type != PT_LOAD || (header.p_flags & PF_X) == 0 || count == crash_state.ranges.size())
      continue;
    const std::uintptr_t begin = info->dlpi_addr + header.p_vaddr;
    crash_state.ranges[count] = {begin, begin + header.p_memsz};
    crash_state.range_count = count + 1;
  }
  return 0;
}

// ---- In the monitor.

// The futex is shared between processes.
void wait_for_answer(const posix::FutexWord& answered, std::uint32_t seen,
                     posix::Clock::time_point deadline) noexcept {
  const timespec left = posix::time_left(deadline);
  posix::syscall(SYS_futex, &answered, FUTEX_WAIT, seen, &left, nullptr, 0);
}

// Reads each number once: children of the worker can still change them.
CrashedThread from(const ThreadNote& note) {
  const auto at_most = [](std::size_t number, std::size_t most) { return std::min(number, most); };
  const auto registers = std::span(note.registers).first(at_most(note.register_count, note.registers.size()));
  const auto stack = std::span(note.stack).first(at_most(note.stack_words, note.stack.size()));
  return {.tid = note.tid,
          .program_counter = note.program_counter,
          .registers = {registers.begin(), registers.end()},
          .stack_begin = note.stack_begin,
          .stack = {stack.begin(), stack.end()}};
}

}  // namespace

void note_thread(ThreadNotes& threads, const ucontext_t& context) noexcept {
  const unsigned number = threads.taken.fetch_add(1);
  if (number < threads.notes.size()) {
    fill_in(threads.notes[number], context);
    threads.notes[number].is_complete = true;
  }
  ++threads.answered;
  constexpr int everybody = 0x7fffffff;
  posix::syscall(SYS_futex, &threads.answered, FUTEX_WAKE, everybody, nullptr, nullptr, 0);
}

void note_code_ranges() noexcept {
  crash_state.range_count = 0;
  ::dl_iterate_phdr(add_code_ranges, nullptr);
  const std::span ranges = std::span(crash_state.ranges).first(crash_state.range_count);
  std::sort(ranges.begin(), ranges.end(),
            [](const CodeRange& left, const CodeRange& right) { return left.begin < right.begin; });
}

std::vector<CrashedThread> ask_threads(pid_t worker, ThreadNotes& threads) {
  std::vector<CrashedThread> asked;
  threads.asks = true;
  for (posix::NamedThread& each : posix::threads_of(worker)) {
    if (posix::syscall(SYS_tgkill, worker, each.tid, SIGABRT) == -1) continue;  // it has ended, or we may not
    asked.push_back({.tid = each.tid, .name = std::move(each.name)});
  }
  const auto deadline = posix::deadline_in(graces::thread_notes);
  for (std::uint32_t seen = threads.answered; seen < asked.size() && posix::Clock::now() < deadline;
       seen = threads.answered)
    wait_for_answer(threads.answered, seen, deadline);
  threads.asks = false;
  return asked;
}

std::vector<CrashedThread> read_notes(ThreadNotes& threads, std::vector<CrashedThread> asked) {
  std::vector<CrashedThread> found;
  for (const ThreadNote& note : threads.used()) {
    if (note.is_complete) found.push_back(from(note));
  }
  for (CrashedThread& each : asked) {
    const auto its_note = std::find_if(found.begin(), found.end(),
                                       [&](const CrashedThread& thread) { return thread.tid == each.tid; });
    if (its_note == found.end()) found.push_back(std::move(each));
    else its_note->name = std::move(each.name);
  }
  return found;
}

}  // namespace daemonctx
