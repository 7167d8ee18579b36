// SPDX-License-Identifier: BSL-1.0
#include "pidfile/reload_status.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include "pidfile/lock_board.hpp"
#include "pidfile/notice_bits.hpp"

namespace daemonctx {
namespace {

// Bits of BoardNumber::reload above those of notice_bits.hpp: the count of finished reloads.
constexpr unsigned finished_shift = 3;

// How often the number may change during a read before the reader gives up for now. A hostile writer can make
// each attempt long.
constexpr int most_reads = 3;

std::uint64_t encode(const ReloadNotice& notice) noexcept {
  return (notice.finished << finished_shift) | (notice.running ? running_bit : 0) |
         (notice.refused ? refused_bit : 0);
}

ReloadNotice decode(std::uint64_t number) {
  return {.finished = number >> finished_shift,
          .running = (number & running_bit) != 0,
          .refused = (number & refused_bit) != 0};
}

bool continues_character(char byte) noexcept { return (static_cast<unsigned char>(byte) & 0xc0U) == 0x80U; }

// Cuts between two UTF-8 characters, and makes the cut visible.
std::string_view cut_to_fit(std::string_view text,
                            std::array<char, posix::longest(posix::BoardText::refusal)>& room) noexcept {
  constexpr std::string_view mark = "...";
  if (text.size() <= room.size()) return text;
  std::size_t size = room.size() - mark.size();
  while (size > 0 && continues_character(text[size])) --size;
  auto* const end = std::copy_n(text.begin(), size, room.begin());
  std::copy(mark.begin(), mark.end(), end);
  return {room.data(), size + mark.size()};
}

}  // namespace

int show_progress(int fd, const ReloadNotice& notice) noexcept {
  return posix::show_number(fd, posix::BoardNumber::reload, encode(notice));
}

// A reader takes a text for whole if the numbers before and after it are equal, without `changing_bit`.
int show_outcome(int fd, const ReloadNotice& notice) noexcept {
  std::array<char, posix::longest(posix::BoardText::refusal)> room;
  if (const int error = posix::show_number(fd, posix::BoardNumber::reload, encode(notice) | changing_bit))
    return error;
  if (const int error = posix::show_text(fd, posix::BoardText::refusal, cut_to_fit(notice.text, room)))
    return error;
  return posix::show_number(fd, posix::BoardNumber::reload, encode(notice));
}

std::optional<ReloadNotice> read_reload_notice(int fd, pid_t author, bool& settled) {
  auto number = posix::shown_number(fd, posix::BoardNumber::reload, author);
  settled = false;
  for (int attempt = 0; number && attempt < most_reads; ++attempt) {
    ReloadNotice notice = decode(*number);
    if ((*number & changing_bit) != 0) break;
    if (notice.refused) notice.text = posix::shown_text(fd, posix::BoardText::refusal, author);
    const auto again = posix::shown_number(fd, posix::BoardNumber::reload, author);
    settled = again == number;
    if (settled) return notice;
    number = again;
  }
  if (!number) return std::nullopt;
  return decode(*number);
}

}  // namespace daemonctx
