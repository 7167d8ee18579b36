// SPDX-License-Identifier: BSL-1.0
#include "reload_notice.hpp"

#include <algorithm>

#include "posix/lock_board.hpp"

namespace daemonctx {
namespace {

// From the lowest bit: refused, how many run, how many are finished. So it only ever grows.
constexpr unsigned running_bits = 8;
constexpr unsigned most_running = (1U << running_bits) - 1;

std::uint64_t encode(const ReloadNotice& notice) noexcept {
  const std::uint64_t running = std::min(notice.running, most_running);
  return (notice.finished << (running_bits + 1)) | (running << 1) | (notice.refused ? 1U : 0U);
}

ReloadNotice decode(std::uint64_t number) {
  return {.finished = number >> (running_bits + 1),
          .running = static_cast<unsigned>((number >> 1) & most_running),
          .refused = (number & 1) != 0};
}

}  // namespace

int show(int fd, const ReloadNotice& notice) noexcept {
  if (const int error = posix::show_text(fd, notice.text)) return error;
  return posix::show_number(fd, encode(notice));
}

std::optional<ReloadNotice> read_reload_notice(int fd, pid_t author) {
  for (auto number = posix::shown_number(fd, author); number;) {
    ReloadNotice notice = decode(*number);
    if (notice.refused) notice.text = posix::shown_text(fd, author);
    const auto again = posix::shown_number(fd, author);
    if (again == number) return notice;
    number = again;  // the text may be torn
  }
  return std::nullopt;
}

}  // namespace daemonctx
