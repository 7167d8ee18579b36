// SPDX-License-Identifier: BSL-1.0
#include "target.hpp"

#include <poll.h>

#include <posix/syscalls.hpp>

#include "pidfile.hpp"
#include "posix/deadline.hpp"
#include "posix/file_lock.hpp"
#include "posix/pidfd.hpp"
#include "posix/retry.hpp"

namespace daemonctx {
namespace {

namespace fs = boost::filesystem;
using posix::Clock;
using std::chrono::milliseconds;

// Between the two locks of a start lie a few system calls; see pidfile.cpp.
constexpr milliseconds naming_patience{2000};
constexpr milliseconds naming_slice{1};

}  // namespace

UniqueFd open_for_a_look(const fs::path& pidfile) noexcept {
  // O_NONBLOCK: a FIFO in its place must not hold us up.
  constexpr int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
  return UniqueFd(posix::retry([&] { return posix::open(pidfile.c_str(), flags); }));
}

Target Target::find(const fs::path& pidfile, Ticker& ticker, std::error_code& error) noexcept {
  const auto deadline = posix::deadline_in(naming_patience);
  for (;;) {
    Target target = find_once(pidfile, error);
    if (error != std::errc::resource_unavailable_try_again || Clock::now() >= deadline) return target;
    posix::poll(nullptr, 0, posix::poll_timeout(ticker.wake_up(deadline), naming_slice));
    ticker.tick();
  }
}

Target Target::find_once(const fs::path& pidfile, std::error_code& error) noexcept {
  error.clear();
  Target target;
  if (Pidfile::own(pidfile) != Pidfile::Own::no) {
    target.pid_ = posix::getpid();
    return target;
  }
  target.file_ = open_for_a_look(pidfile);
  if (target.file_) target.identify(error);
  else error = errno == ENOENT ? std::make_error_code(std::errc::no_such_process) : posix::last_error();
  return target;
}

void Target::identify(std::error_code& error) noexcept {
  const posix::IdentityHolder holder = posix::identity_holder(file_.get());
  if (holder.error != 0) {
    error.assign(holder.error, std::generic_category());
  } else if (!holder.held) {
    const bool starts = posix::is_excluded(file_.get());
    error =
        std::make_error_code(starts ? std::errc::resource_unavailable_try_again : std::errc::no_such_process);
  } else if (holder.pid == 0) {
    error = std::make_error_code(std::errc::not_supported);
  } else {
    pid_ = holder.pid;
    process_ = posix::open_pidfd(pid_);
    // Asked once more: if it still holds the lock, the descriptor names it and not a later process.
    if (!holds_lock()) error = std::make_error_code(std::errc::no_such_process);
  }
}

bool Target::holds_lock() const noexcept { return posix::identity_holder(file_.get()).pid == pid_; }

bool Target::has_ended() const noexcept {
  if (!process_) return !holds_lock();
  pollfd ended{process_.get(), POLLIN, 0};
  return posix::poll(&ended, 1, 0) == 1;
}

int Target::send(int signal) const noexcept {
  if (process_) return posix::send_signal(process_, signal);
  return is_self() || holds_lock() ? posix::error_of(posix::kill(pid_, signal)) : ESRCH;
}

bool Target::await_end(milliseconds longest, Ticker& ticker) const noexcept {
  const auto deadline = posix::deadline_in(longest);
  for (;;) {
    const auto wake_up = ticker.wake_up(deadline);
    pollfd ended{process_.get(), POLLIN, 0};
    posix::poll(&ended, 1,
                process_ ? posix::poll_timeout(wake_up) : posix::poll_timeout(wake_up, blind_slice));
    ticker.tick();
    if (has_ended()) return true;
    if (Clock::now() >= deadline) return false;
  }
}

}  // namespace daemonctx
