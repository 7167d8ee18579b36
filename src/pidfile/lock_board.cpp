// SPDX-License-Identifier: BSL-1.0
#include "pidfile/lock_board.hpp"

#include <algorithm>
#include <array>
#include <posix/syscalls.hpp>

#include "base/one_line.hpp"
#include "posix/retry.hpp"

namespace daemonctx::posix {
namespace {

// The range of off_t is cut into places. Place 0 holds the pidfile's own bytes. The last place is cut into
// small places, which have all that concerns upgrades.
static_assert(sizeof(off_t) == 8, "a place is wider than a 32-bit offset");
constexpr off_t place_size = off_t{1} << 57;
constexpr off_t small_place_size = off_t{1} << 48;
constexpr off_t begin_of_small_places = 63 * place_size;

// A row of equal places.
struct Row {
  off_t begin;
  off_t size;  // of a place; a value in it is smaller
  off_t count = 1;
  std::size_t bytes = 0;  // of a text, in a place

  constexpr off_t end() const noexcept { return begin + count * size; }
  constexpr std::size_t longest() const noexcept { return static_cast<std::size_t>(count) * bytes; }
};

constexpr Row row_of(BoardText which) noexcept {
  constexpr Row refusal{8 * place_size, place_size, 35, 7};
  constexpr Row status{refusal.end(), place_size, 20, 7};
  constexpr Row upgrade_refusal{begin_of_small_places + small_place_size, small_place_size, 41, 6};
  constexpr Row program{upgrade_refusal.end(), small_place_size, 300, 6};
  static_assert(status.end() == begin_of_small_places &&
                program.end() <= begin_of_small_places + 511 * small_place_size);
  switch (which) {
    case BoardText::refusal:
      return refusal;
    case BoardText::status:
      return status;
    case BoardText::upgrade_refusal:
      return upgrade_refusal;
    case BoardText::program:
      break;
  }
  return program;
}
static_assert(row_of(BoardText::refusal).longest() == longest(BoardText::refusal) &&
              row_of(BoardText::status).longest() == longest(BoardText::status) &&
              row_of(BoardText::upgrade_refusal).longest() == longest(BoardText::upgrade_refusal) &&
              row_of(BoardText::program).longest() == longest(BoardText::program));

Row row_of(BoardNumber which) noexcept {
  if (which == BoardNumber::upgrade) return {begin_of_small_places, small_place_size};
  return {(static_cast<off_t>(which) + 1) * place_size, place_size};
}

struct flock range(short type, off_t begin, off_t end) noexcept {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = begin;
  lock.l_len = end - begin;
  return lock;
}

int set(int fd, short type, off_t begin, off_t end) noexcept {
  if (begin == end) return 0;  // l_len 0 would reach to the end of all places
  struct flock lock = range(type, begin, end);
  return error_of(posix::fcntl(fd, F_SETLK, &lock));
}

// At most this many locks of strangers are skipped. Each leaves a stretch on both sides to search.
constexpr std::size_t most_strangers = 8;

struct Stretch {
  off_t begin;
  off_t end;
};

// F_GETLK reports only one of the conflicting locks. If a stranger holds it, the author's may lie on either
// side. The kernel merges neighbouring locks. So the author's lock may begin in an earlier place: then the
// value is zero.
std::optional<std::uint64_t> value_at(int fd, pid_t author, off_t begin, off_t size) noexcept {
  std::array<Stretch, most_strangers + 1> left{{{begin, begin + size}}};
  std::size_t count = 1;
  for (std::size_t asked = 0; count > 0 && asked < most_strangers; ++asked) {
    const Stretch stretch = left.at(--count);
    // Only a write lock conflicts with F_RDLCK, and a write lock needs write permission on the file.
    struct flock lock = range(F_RDLCK, stretch.begin, stretch.end);
    if (posix::fcntl(fd, F_GETLK, &lock) == -1 || lock.l_type == F_UNLCK) continue;
    if (lock.l_pid == author) return static_cast<std::uint64_t>(std::max(lock.l_start, begin) - begin);
    const off_t behind = lock.l_len == 0 ? stretch.end : lock.l_start + lock.l_len;
    if (stretch.begin < lock.l_start) left.at(count++) = {stretch.begin, lock.l_start};
    if (behind < stretch.end) left.at(count++) = {behind, stretch.end};
  }
  return {};
}

std::uint64_t pack(std::string_view bytes) noexcept {
  std::uint64_t value = 0;
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    value |= std::uint64_t{static_cast<unsigned char>(bytes[at])} << (8 * at);
  }
  return value;
}

}  // namespace

int show_number(int fd, BoardNumber which, std::uint64_t number) noexcept {
  const Row row = row_of(which);
  if (number >= static_cast<std::uint64_t>(row.size)) return EINVAL;  // the next place has other locks
  const off_t wanted = row.begin + static_cast<off_t>(number);
  // Set the new lock first, so that readers always find a number.
  if (const int error = set(fd, F_WRLCK, wanted, wanted + 1)) return error;
  if (const int error = set(fd, F_UNLCK, row.begin, wanted)) return error;
  return set(fd, F_UNLCK, wanted + 1, row.end());
}

int show_text(int fd, BoardText which, std::string_view text) noexcept {
  const Row row = row_of(which);
  if (const int error = set(fd, F_UNLCK, row.begin, row.end())) return error;
  text = cut(text.substr(0, text.find('\0')), row.longest());
  for (off_t place = row.begin; !text.empty(); place += row.size) {
    const auto bytes = text.substr(0, row.bytes);
    const off_t at = place + static_cast<off_t>(pack(bytes));
    if (const int error = set(fd, F_WRLCK, at, at + 1)) return error;
    text.remove_prefix(bytes.size());
  }
  return 0;
}

std::optional<std::uint64_t> shown_number(int fd, BoardNumber which, pid_t author) noexcept {
  const Row row = row_of(which);
  return value_at(fd, author, row.begin, row.size);
}

std::string shown_text(int fd, BoardText which, pid_t author) {
  const Row row = row_of(which);
  std::string text;
  for (off_t place = row.begin; place < row.end(); place += row.size) {
    const auto value = value_at(fd, author, place, row.size);
    if (!value) break;
    for (std::uint64_t rest = *value; rest != 0; rest >>= 8) text += static_cast<char>(rest & 0xff);
  }
  return text;
}

}  // namespace daemonctx::posix
