// SPDX-License-Identifier: BSL-1.0
#include "pidfile/lock_board.hpp"

#include <algorithm>
#include <array>
#include <posix/syscalls.hpp>

#include "base/one_line.hpp"
#include "posix/retry.hpp"

namespace daemonctx::posix {
namespace {

// The range of off_t is cut into places. Place 0 holds the pidfile's own bytes.
static_assert(sizeof(off_t) == 8, "a place is wider than a 32-bit offset");
constexpr off_t place_size = off_t{1} << 57;
constexpr off_t first_number_place = 1;
constexpr off_t first_text_place = 8;
constexpr off_t end_of_places = 63;
constexpr std::size_t bytes_in_place = 7;

struct Places {
  off_t begin;
  off_t end;
};

constexpr off_t size_of(BoardText which) noexcept {
  return static_cast<off_t>(longest(which) / bytes_in_place);
}
constexpr Places places_of(BoardText which) noexcept {
  constexpr off_t between = first_text_place + size_of(BoardText::refusal);
  return which == BoardText::refusal ? Places{first_text_place, between} : Places{between, end_of_places};
}
static_assert(places_of(BoardText::status).end - places_of(BoardText::status).begin ==
              size_of(BoardText::status));

off_t place_of(BoardNumber which) noexcept { return first_number_place + static_cast<off_t>(which); }

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
std::optional<std::uint64_t> value_at(int fd, pid_t author, off_t place) noexcept {
  const off_t begin = place * place_size;
  std::array<Stretch, most_strangers + 1> left{{{begin, begin + place_size}}};
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
  if (number >= std::uint64_t{place_size}) return EINVAL;  // the next place has other locks
  const off_t begin = place_of(which) * place_size;
  const off_t wanted = begin + static_cast<off_t>(number);
  // Set the new lock first, so that readers always find a number.
  if (const int error = set(fd, F_WRLCK, wanted, wanted + 1)) return error;
  if (const int error = set(fd, F_UNLCK, begin, wanted)) return error;
  return set(fd, F_UNLCK, wanted + 1, begin + place_size);
}

int show_text(int fd, BoardText which, std::string_view text) noexcept {
  const Places places = places_of(which);
  if (const int error = set(fd, F_UNLCK, places.begin * place_size, places.end * place_size)) {
    return error;
  }
  text = cut(text.substr(0, text.find('\0')), longest(which));
  for (off_t place = places.begin; !text.empty(); ++place) {
    const auto bytes = text.substr(0, bytes_in_place);
    const off_t at = place * place_size + static_cast<off_t>(pack(bytes));
    if (const int error = set(fd, F_WRLCK, at, at + 1)) return error;
    text.remove_prefix(bytes.size());
  }
  return 0;
}

std::optional<std::uint64_t> shown_number(int fd, BoardNumber which, pid_t author) noexcept {
  return value_at(fd, author, place_of(which));
}

std::string shown_text(int fd, BoardText which, pid_t author) {
  const Places places = places_of(which);
  std::string text;
  for (off_t place = places.begin; place < places.end; ++place) {
    const auto value = value_at(fd, author, place);
    if (!value) break;
    for (std::uint64_t rest = *value; rest != 0; rest >>= 8) text += static_cast<char>(rest & 0xff);
  }
  return text;
}

}  // namespace daemonctx::posix
