// SPDX-License-Identifier: BSL-1.0

// What keeps a service alive until it has mapped its signals, and what ends it with its terminal.

#include <fcntl.h>

#include <bit>
#include <posix/syscalls.hpp>
#include <vector>

#include "base/signal_name.hpp"
#include "posix/unique_fd.hpp"
#include "signals/dispatcher.hpp"
#include "signals/inbox.hpp"

namespace daemonctx {
namespace {

bool has_terminal() noexcept {
  return static_cast<bool>(UniqueFd(posix::open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC)));
}

struct sigaction disposition_of(int number) noexcept {
  struct sigaction now {};
  posix::sigaction(number, nullptr, &now);
  return now;
}

bool is_default(const struct sigaction& action) noexcept {
  return (action.sa_flags & SA_SIGINFO) == 0 && action.sa_handler == SIG_DFL;
}

bool is_ours(const struct sigaction& action) noexcept {
  return (action.sa_flags & SA_SIGINFO) != 0 && action.sa_sigaction == &note_signal;
}

}  // namespace

std::vector<std::string> dropped_lines(std::uint64_t signals) {
  std::vector<std::string> lines;
  for (; signals != 0; signals &= signals - 1) {
    lines.push_back(posix::signal_name(std::countr_zero(signals) + 1) +
                    " came during the start and is dropped: the service maps no action to it");
  }
  return lines;
}

bool would_end_with_terminal() noexcept {
  const struct sigaction now = disposition_of(SIGHUP);
  const bool is_ignored = (now.sa_flags & SA_SIGINFO) == 0 && now.sa_handler == SIG_IGN;
  return !is_ignored && has_terminal();
}

// People send these signals to a service. A signal that the program has blocked, ignores or handles itself is
// left alone.
int SignalDispatcher::hold_unmapped() noexcept {
  for (const int number : {SIGHUP, SIGUSR1, SIGUSR2}) {
    const bool is_blocked = !detached_ && sigismember(&former_mask_, number) == 1;
    if (is_mapped(number) || is_blocked || !is_default(disposition_of(number))) continue;
    signal_inbox.held |= signal_bit(number);
    // Like a reload: a signal without an action must not interrupt the service's system calls.
    if (const int error = install_handler(number, Action::reload)) return error;
  }
  return 0;
}

void SignalDispatcher::note(Progress progress) {
  constexpr unsigned all = service_is_ready | service_waits;
  if ((progress_ & progress) != 0) return;
  if ((progress_.fetch_or(progress) | progress) == all && installs_) release();
}

void SignalDispatcher::release() {
  const std::uint64_t dropped = stop_holding();
  const bool hangs_up = (dropped & signal_bit(SIGHUP)) != 0 && is_hang_up(info_of(SIGHUP));
  if (hangs_up) hang_up();
  if (hooks_.released) hooks_.released(hangs_up ? dropped & ~signal_bit(SIGHUP) : dropped);
}

// Returns the held signals that had arrived. SIGHUP that comes meanwhile, and is mapped here, has its action.
std::uint64_t SignalDispatcher::stop_holding() {
  const auto terminate = std::make_shared<const SignalAction>(Action::terminate);
  const std::lock_guard lock(map_mutex_);
  const std::uint64_t held = signal_inbox.held;
  std::uint64_t arrived = signal_inbox.pending.fetch_and(~held) & held;
  std::uint64_t forgotten = held;
  if ((held & signal_bit(SIGHUP)) != 0 && ends_with_terminal_ && is_ours(disposition_of(SIGHUP))) {
    map_[SIGHUP] = terminate;
    install_one(SIGHUP, *terminate);
    forgotten &= ~signal_bit(SIGHUP);
  }
  for (std::uint64_t rest = forgotten; rest != 0; rest &= rest - 1) forget(std::countr_zero(rest) + 1);
  arrived |= signal_inbox.pending.fetch_and(~forgotten) & forgotten;
  signal_inbox.held = 0;
  return arrived;
}

// The program may have installed a handler of its own by now.
void SignalDispatcher::forget(int number) noexcept {
  if (is_ours(disposition_of(number))) install_handler(number, Action::restore_default);
  sigdelset(&mapped_, number);
  std::erase_if(installed_, [number](const Installed& one) { return one.number == number; });
}

void SignalDispatcher::hang_up() {
  if (hooks_.hang_up) hooks_.hang_up();
  else request_stop();
}

// By the time that the shell passes the hang-up on, its processes have no terminal any more.
bool SignalDispatcher::is_hang_up(const SignalInfo& info) const noexcept {
  if (!ends_with_terminal_ || info.number != SIGHUP) return false;
  return info.by_kernel || (info.sender_pid == posix::getsid(0) && !has_terminal());
}

}  // namespace daemonctx
