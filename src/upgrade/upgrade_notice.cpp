// SPDX-License-Identifier: BSL-1.0
#include "upgrade/upgrade_notice.hpp"

#include <posix/syscalls.hpp>

#include "base/deadline.hpp"
#include "base/graces.hpp"
#include "pidfile/lock_board.hpp"
#include "pidfile/locks.hpp"
#include "pidfile/notice_bits.hpp"

namespace daemonctx {
namespace {

// Bits of BoardNumber::upgrade above those of notice_bits.hpp: the requester, the count of finished upgrades.
constexpr unsigned requester_shift = 3;
constexpr std::uint64_t requester_mask = (std::uint64_t{1} << 22U) - 1;  // the highest pid is 2^22
constexpr unsigned count_shift = 25;
constexpr std::uint64_t count_mask = (std::uint64_t{1} << 23U) - 1;

std::uint64_t encode(const UpgradeNotice& notice) noexcept {
  return ((notice.finished & count_mask) << count_shift) |
         ((static_cast<std::uint64_t>(notice.requester) & requester_mask) << requester_shift) |
         (notice.running ? running_bit : 0) | (notice.refused ? refused_bit : 0);
}

UpgradeNotice decode_upgrade(std::uint64_t number) {
  return {.finished = number >> count_shift,
          .running = (number & running_bit) != 0,
          .refused = (number & refused_bit) != 0,
          .requester = static_cast<pid_t>((number >> requester_shift) & requester_mask)};
}

int show_once(int fd, const UpgradeNotice& notice) noexcept {
  using posix::BoardNumber;
  using posix::BoardText;
  if (notice.refused) {
    if (const int error = posix::show_number(fd, BoardNumber::upgrade, encode(notice) | changing_bit))
      return error;
    if (const int error = posix::show_text(fd, BoardText::upgrade_refusal, notice.text)) return error;
  }
  return posix::show_number(fd, BoardNumber::upgrade, encode(notice));
}

}  // namespace

// A user who may read the file can hold a read lock there, and the kernel may have no lock left. An outcome
// that is not shown would leave the notice of a running upgrade, by which all later ones are refused.
int show_upgrade(int fd, const UpgradeNotice& notice) noexcept {
  constexpr int most_attempts = 20;
  constexpr int pause = 10;  // ms
  int error = show_once(fd, notice);
  for (int attempt = 1; error != 0 && attempt < most_attempts; ++attempt) {
    posix::poll(nullptr, 0, pause);
    error = show_once(fd, notice);
  }
  return error;
}

// A reader takes a text for whole if the numbers before and after it are equal.
std::optional<UpgradeNotice> read_upgrade_notice(int fd, pid_t author) {
  const auto number = posix::shown_number(fd, posix::BoardNumber::upgrade, author);
  if (!number || (*number & changing_bit) != 0) return {};
  UpgradeNotice notice = decode_upgrade(*number);
  if (notice.refused) notice.text = posix::shown_text(fd, posix::BoardText::upgrade_refusal, author);
  return posix::shown_number(fd, posix::BoardNumber::upgrade, author) == number ? std::optional(notice)
                                                                                : std::nullopt;
}

std::optional<std::uint64_t> count_of_upgrades(int fd, pid_t author) noexcept {
  const auto number = posix::shown_number(fd, posix::BoardNumber::upgrade, author);
  return number ? std::optional(*number >> count_shift) : std::nullopt;
}

// A process is marked ready after it has shown its count: ask in the other order.
std::optional<std::uint64_t> count_before_stop(int fd, pid_t author) noexcept {
  const bool is_ready = posix::is_marked_ready(fd);
  const auto count = count_of_upgrades(fd, author);
  if (count || (is_ready && posix::identity_holder(fd).pid == author)) return count;
  return 0;
}

bool has_successor(int fd, std::uint64_t before) noexcept {
  const auto deadline = posix::deadline_in(graces::naming);
  for (;;) {
    const bool is_ready = posix::is_marked_ready(fd);  // before the count, as above
    const posix::IdentityHolder holder = posix::identity_holder(fd);
    const auto count = holder.held ? count_of_upgrades(fd, holder.pid) : std::nullopt;
    if (count) return *count > before;
    const bool may_come = holder.held ? !is_ready : posix::is_excluded(fd);
    if (!may_come || posix::Clock::now() >= deadline) return false;
    posix::poll(nullptr, 0, 1);
  }
}

}  // namespace daemonctx
