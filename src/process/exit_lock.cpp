// SPDX-License-Identifier: BSL-1.0
#include "process/exit_lock.hpp"

#include <features.h>
#include <link.h>
#include <pthread.h>
#ifdef __GLIBC__
#include <gnu/libc-version.h>
#endif

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>

namespace daemonctx::process {
namespace {

#ifdef __clang__
#define DAEMONCTX_NOT_SANITIZED [[clang::no_sanitize("thread", "address")]]
#else
#define DAEMONCTX_NOT_SANITIZED [[gnu::no_sanitize("thread", "address")]]
#endif

// The C library's internal recursive lock. This thread must read it while other threads change it.
struct RecursiveLock {
  int word;  // 0 free, 1 held, 2 held and awaited
  int depth;
  const void* owner;
};

constexpr int awaited = 2;

DAEMONCTX_NOT_SANITIZED int read_word(const int* word) noexcept {
  return *static_cast<const volatile int*>(word);
}

DAEMONCTX_NOT_SANITIZED bool is_held(const RecursiveLock& lock, const void* by) noexcept {
  const volatile RecursiveLock& now = lock;
  return now.owner == by && now.depth >= 1 && (now.word == 1 || now.word == awaited);
}

struct Search {
  std::uintptr_t in_library;  // an address in the C library
  const void* owner;
  const RecursiveLock* found = nullptr;
};

bool contains(const dl_phdr_info& object, const ElfW(Phdr) & segment, std::uintptr_t address) noexcept {
  const auto begin = object.dlpi_addr + segment.p_vaddr;
  return segment.p_type == PT_LOAD && address >= begin && address < begin + segment.p_memsz;
}

// Searches no further than any C library reaches: in a statically linked program the segment is the whole
// program's.
void search_segment(std::uintptr_t begin, std::uintptr_t end, Search& search) noexcept {
  constexpr std::uintptr_t longest = std::uintptr_t{16} << 20;
  end = std::min(end, begin + longest);
  constexpr std::uintptr_t step = alignof(RecursiveLock);
  begin = (begin + step - 1) / step * step;
  for (; search.found == nullptr && begin + sizeof(RecursiveLock) <= end; begin += step) {
    const auto* lock = reinterpret_cast<const RecursiveLock*>(begin);  // NOLINT(performance-no-int-to-ptr)
    if (is_held(*lock, search.owner)) search.found = lock;
  }
}

int search_object(dl_phdr_info* object, std::size_t, void* data) noexcept {
  auto& search = *static_cast<Search*>(data);
  bool is_library = false;
  const std::span segments(object->dlpi_phdr, object->dlpi_phnum);
  for (const auto& segment : segments) {
    is_library = is_library || contains(*object, segment, search.in_library);
  }
  if (!is_library) return 0;
  for (const auto& segment : segments) {
    const auto begin = object->dlpi_addr + segment.p_vaddr;
    if (segment.p_type == PT_LOAD && (segment.p_flags & PF_W) != 0) {
      search_segment(begin, begin + segment.p_memsz, search);
    }
  }
  return 1;
}

#ifdef __GLIBC__
bool has_exit_lock() noexcept {
  constexpr long first_version = 41;
  const char* const version = ::gnu_get_libc_version();
  return version[0] == '2' && std::strtol(version + 2, nullptr, 10) >= first_version;
}
#endif

}  // namespace

// Finds the lock by its content: the C library has no name for it. In an exit handler a thread holds no other
// lock of this kind in the C library.
ExitLock ExitLock::held_by_this_thread() noexcept {
  ExitLock lock;
#ifdef __GLIBC__
  if (!has_exit_lock()) return lock;
  // The lock stores pthread_t, which is a number, as a pointer.
  const auto* self = reinterpret_cast<const void*>(::pthread_self());  // NOLINT(performance-no-int-to-ptr)
  Search search{reinterpret_cast<std::uintptr_t>(::gnu_get_libc_version()), self};
  ::dl_iterate_phdr(search_object, &search);
  if (search.found != nullptr) lock.word_ = &search.found->word;
#endif
  return lock;
}

bool ExitLock::is_awaited() const noexcept { return word_ != nullptr && read_word(word_) == awaited; }

}  // namespace daemonctx::process
