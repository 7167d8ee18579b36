// SPDX-License-Identifier: BSL-1.0
#include "posix/close_fds.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <limits>
#include <posix/syscalls.hpp>

#include "features.hpp"
#include "posix/retry.hpp"
#include "posix/unique_fd.hpp"

namespace daemonctx::posix {
namespace {

constexpr int first_inherited = STDERR_FILENO + 1;
constexpr int last_resort_limit = 65536;

bool is_kept(std::span<const int> keep, int fd) noexcept {
  return std::binary_search(keep.begin(), keep.end(), fd);
}

int close_gap(unsigned first, unsigned last) noexcept {
#if DAEMONCTX_HAVE_CLOSE_RANGE
  return error_of(posix::syscall(SYS_close_range, first, last, 0U));
#else
  static_cast<void>(first), static_cast<void>(last);
  return ENOSYS;
#endif
}

int close_gaps(std::span<const int> keep) noexcept {
  unsigned first = first_inherited;
  for (const int fd : keep) {
    const auto kept = static_cast<unsigned>(fd);
    if (fd < first_inherited || kept < first) continue;
    if (kept > first) {
      if (const int error = close_gap(first, kept - 1)) return error;
    }
    first = kept + 1;
  }
  return close_gap(first, std::numeric_limits<unsigned>::max());
}

// The entry's name as a number, or -1.
int descriptor_of(const char* name) noexcept {
  int fd = 0;
  for (; *name != '\0'; ++name) {
    if (*name < '0' || *name > '9') return -1;
    fd = fd * 10 + (*name - '0');
  }
  return fd;
}

// The layout that getdents64(2) writes; the C library does not declare it. readdir(3) needs opendir(3),
// which allocates.
struct ListedEntry {
  std::uint64_t inode;
  std::int64_t offset;
  std::uint16_t length;
  unsigned char type;
};
constexpr std::size_t name_offset = 19;

void close_listed(std::span<const int> keep, int directory, const char* entries, long size) noexcept {
  for (long at = 0; at < size;) {
    ListedEntry entry;
    std::memcpy(&entry, entries + at, name_offset);
    const int fd = descriptor_of(entries + at + name_offset);
    if (fd >= first_inherited && fd != directory && !is_kept(keep, fd)) posix::close(fd);
    at += entry.length;
  }
}

// Closes one descriptor to make room for another below the limit: all numbers may be in use.
void close_first(std::span<const int> keep) noexcept {
  int fd = first_inherited;
  while (fd < last_resort_limit && (is_kept(keep, fd) || posix::close(fd) == -1)) ++fd;
}

int close_listed_in_proc(std::span<const int> keep) noexcept {
  const auto open = [] { return posix::open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC); };
  UniqueFd directory(retry(open));
  if (!directory && errno == EMFILE) {
    close_first(keep);
    directory.reset(retry(open));
  }
  if (!directory) return errno;
  std::array<char, 4096> entries;
  for (;;) {
    const long size = posix::syscall(SYS_getdents64, directory.get(), entries.data(), entries.size());
    if (size <= 0) return error_of(size);
    close_listed(keep, directory.get(), entries.data(), size);
  }
}

int close_one_by_one(std::span<const int> keep) noexcept {
  rlimit limit{};
  if (posix::getrlimit(RLIMIT_NOFILE, &limit) == -1) return errno;
  const int end = static_cast<int>(std::min<rlim_t>(limit.rlim_cur, last_resort_limit));
  for (int fd = first_inherited; fd < end; ++fd) {
    if (!is_kept(keep, fd)) posix::close(fd);
  }
  return 0;
}

}  // namespace

int close_fds_except(std::span<const int> keep) noexcept {
  if (close_gaps(keep) == 0) return 0;
  if (close_listed_in_proc(keep) == 0) return 0;
  return close_one_by_one(keep);
}

}  // namespace daemonctx::posix
