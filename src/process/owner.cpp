// SPDX-License-Identifier: BSL-1.0
#include "process/owner.hpp"

#include <atomic>
#include <new>
#include <posix/syscalls.hpp>

namespace daemonctx::process {
namespace {

using Word = std::atomic<bool>;

constinit std::atomic<Word*> word_wiped_on_fork = nullptr;
constinit std::atomic<bool> page_was_tried = false;
constinit std::atomic<pid_t> owner_pid = 0;  // used where there is no such page

// An emulator may accept the advice without following it (qemu-user 7.2). It also accepts an advice that
// cannot exist.
bool wipes_on_fork(void* page, std::size_t size) noexcept {
#ifdef MADV_WIPEONFORK
  constexpr int impossible_advice = 0x7fff;
  return posix::madvise(page, size, impossible_advice) == -1 &&
         posix::madvise(page, size, MADV_WIPEONFORK) == 0;
#else
  static_cast<void>(page);
  static_cast<void>(size);
  return false;
#endif
}

Word* map_word() noexcept {
  const auto size = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  void* page = posix::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return nullptr;
  if (wipes_on_fork(page, size)) return new (page) Word(false);
  ::munmap(page, size);
  return nullptr;
}

}  // namespace

bool is_owner() noexcept {
  if (const Word* word = word_wiped_on_fork) return word->load(std::memory_order_relaxed);
  return owner_pid == posix::getpid();
}

void become_owner() noexcept {
  if (!page_was_tried.exchange(true)) word_wiped_on_fork = map_word();
  if (Word* word = word_wiped_on_fork) *word = true;
  else owner_pid = posix::getpid();
}

void forget_owner() noexcept {
  owner_pid = 0;
  if (Word* word = word_wiped_on_fork) *word = false;
}

}  // namespace daemonctx::process
