// SPDX-License-Identifier: BSL-1.0
#include "pidfile/worker_status.hpp"

#include <signal.h>

#include <algorithm>
#include <cstdint>
#include <posix/syscalls.hpp>

#include "base/deadline.hpp"
#include "pidfile/lock_board.hpp"

namespace daemonctx {
namespace {

using posix::BoardNumber;
using std::chrono::milliseconds;
using std::chrono::system_clock;

// Bits of BoardNumber::worker_number. `numbers_change_bit` is set while the other numbers change.
constexpr std::uint64_t numbers_change_bit = 1;
constexpr std::uint64_t worker_runs_bit = 2;
constexpr unsigned worker_number_shift = 2;

// Bits of BoardNumber::end, lowest first: an end exists, its flags, 8 bits of exit code, the signal.
constexpr std::uint64_t there_bit = 1;
constexpr std::uint64_t core_bit = 2;
constexpr std::uint64_t hung_bit = 4;
constexpr std::uint64_t ready_bit = 8;
constexpr unsigned status_shift = 4;
constexpr unsigned signal_shift = 12;

std::uint64_t encode(const std::optional<WorkerEnd>& end) noexcept {
  if (!end) return 0;
  return there_bit | (end->core_dumped ? core_bit : 0) | (end->hung ? hung_bit : 0) |
         (end->was_ready ? ready_bit : 0) |
         (static_cast<std::uint64_t>(end->exit_code & 0xff) << status_shift) |
         (static_cast<std::uint64_t>(end->signal) << signal_shift);
}

// Limits the number to what the clock can show: a process that may write the pidfile can show any number.
milliseconds to_time(std::optional<std::uint64_t> number) noexcept {
  constexpr std::uint64_t two_centuries = std::uint64_t{200} * 365 * 24 * 3600 * 1000;
  return milliseconds(std::min(number.value_or(0), two_centuries));
}

std::optional<WorkerEnd> decode(std::uint64_t number, unsigned worker_number, milliseconds uptime) {
  if ((number & there_bit) == 0) return {};
  WorkerEnd end;
  end.worker_number = worker_number;
  end.exit_code = static_cast<int>((number >> status_shift) & 0xff);
  end.signal = static_cast<int>((number >> signal_shift) % NSIG);
  end.core_dumped = (number & core_bit) != 0;
  end.hung = (number & hung_bit) != 0;
  end.was_ready = (number & ready_bit) != 0;
  end.uptime = uptime;
  return end;
}

std::optional<milliseconds> silence_of(int fd, pid_t author, milliseconds began) noexcept {
  const auto number = posix::shown_number(fd, BoardNumber::sign_of_life, author);
  if (!number || to_time(number) < began) return {};  // the sign is of an earlier worker
  return std::max(posix::since_boot() - to_time(number), milliseconds::zero());
}

}  // namespace

int show_worker(int fd, const WorkerNotice& notice) noexcept {
  const auto worker_number =
      (std::uint64_t{notice.number} << worker_number_shift) | (notice.began ? worker_runs_bit : 0);
  const auto uptime = notice.last_end ? static_cast<std::uint64_t>(notice.last_end->uptime.count()) : 0;
  const auto began = static_cast<std::uint64_t>(notice.began.value_or(milliseconds::zero()).count());
  if (const int error =
          posix::show_number(fd, BoardNumber::worker_number, worker_number | numbers_change_bit))
    return error;
  if (const int error = posix::show_number(fd, BoardNumber::began, began)) return error;
  if (const int error = posix::show_number(fd, BoardNumber::end, encode(notice.last_end))) return error;
  if (const int error = posix::show_number(fd, BoardNumber::uptime, uptime)) return error;
  return posix::show_number(fd, BoardNumber::worker_number, worker_number);
}

int show_sign_of_life(int fd) noexcept {
  return posix::show_number(fd, BoardNumber::sign_of_life,
                            static_cast<std::uint64_t>(posix::since_boot().count()));
}

std::optional<WorkerStatus> read_worker_notice(int fd, pid_t author) noexcept {
  constexpr int most_attempts = 10;
  WorkerStatus status;
  for (int attempt = 0; attempt < most_attempts; ++attempt) {
    const auto before = posix::shown_number(fd, BoardNumber::worker_number, author);
    if (!before) return {};
    status.worker_number = static_cast<unsigned>(*before >> worker_number_shift);
    const auto began = posix::shown_number(fd, BoardNumber::began, author);
    const auto end = posix::shown_number(fd, BoardNumber::end, author);
    const auto uptime = posix::shown_number(fd, BoardNumber::uptime, author);
    const auto after = posix::shown_number(fd, BoardNumber::worker_number, author);
    if ((*before & numbers_change_bit) != 0 || after != before) {
      posix::poll(nullptr, 0, 1);
      continue;
    }
    const bool runs = (*before & worker_runs_bit) != 0;
    if (runs) status.since = system_clock::now() - (posix::since_boot() - to_time(began));
    if (runs) status.silent_for = silence_of(fd, author, to_time(began));
    // Between two workers, the number shown is that of the worker that ended.
    status.last_worker_end = decode(end.value_or(0), status.worker_number - (runs ? 1 : 0), to_time(uptime));
    return status;
  }
  return status;
}

}  // namespace daemonctx
