// SPDX-License-Identifier: BSL-1.0
#include "control/target.hpp"

#include <poll.h>

#include <array>
#include <posix/syscalls.hpp>

#include "base/deadline.hpp"
#include "base/graces.hpp"
#include "pidfile/locks.hpp"
#include "posix/file_watch.hpp"
#include "posix/pidfd.hpp"
#include "posix/proc_fs.hpp"
#include "posix/retry.hpp"
#include "posix/signals.hpp"

namespace daemonctx {
namespace {

using posix::Clock;
using std::chrono::milliseconds;

constexpr milliseconds naming_slice{1};

bool can_be_daemon(pid_t holder, int pidfile) noexcept {
  struct stat file {};
  if (posix::fstat(pidfile, &file) == -1 || !posix::has_open(holder, pidfile).value_or(true)) return false;
  return file.st_uid == 0 || posix::real_user_of(holder).value_or(file.st_uid) == file.st_uid;
}

// Whoever has the exclusion lock is starting, or becomes the service in an upgrade.
std::error_code without_holder(int pidfile) noexcept {
  const bool starts = posix::is_excluded(pidfile);
  return std::make_error_code(starts ? std::errc::resource_unavailable_try_again
                                     : std::errc::no_such_process);
}

}  // namespace

// Ask again until `graces::ending` is over: an ending process loses its files before its locks.
HolderCheck check_holder(pid_t holder, int pidfile) noexcept {
  const auto deadline = posix::deadline_in(graces::ending);
  for (;;) {
    const bool can_be = can_be_daemon(holder, pidfile);
    if (posix::identity_holder(pidfile).pid != holder) return HolderCheck::changed;
    if (can_be) return HolderCheck::credible;
    if (Clock::now() >= deadline) return HolderCheck::incredible;
    posix::poll(nullptr, 0, 1);
  }
}

Target Target::find(const Path& pidfile, Ticker& ticker, std::error_code& error) noexcept {
  const auto deadline = posix::deadline_in(graces::naming);
  for (;;) {
    Target target = find_once(pidfile, error);
    if (error != std::errc::resource_unavailable_try_again || Clock::now() >= deadline) return target;
    posix::poll(nullptr, 0, posix::poll_timeout(ticker.wake_up(deadline), naming_slice));
    ticker.tick();
  }
}

Target Target::find_once(const Path& pidfile, std::error_code& error) noexcept {
  error.clear();
  Target target;
  target.reader_ = PidfileReader(pidfile);
  if (target.is_self()) target.pid_ = posix::getpid();
  else if (target.reader_.error() == ENOENT) error = std::make_error_code(std::errc::no_such_process);
  else if (target.reader_.error() != 0) error.assign(target.reader_.error(), std::generic_category());
  else target.identify(error);
  return target;
}

void Target::identify(std::error_code& error) noexcept {
  const posix::IdentityHolder holder = posix::identity_holder(reader_.fd());
  if (holder.error != 0) {
    error.assign(holder.error, std::generic_category());
  } else if (!holder.held) {
    error = without_holder(reader_.fd());
  } else if (holder.pid == 0) {
    error = std::make_error_code(std::errc::not_supported);
  } else {
    pid_ = holder.pid;
    process_ = posix::open_pidfd(pid_);
    // Check after `open_pidfd`: if the holder still has the lock, the pidfd can't name a later process.
    const HolderCheck verdict = check_holder(pid_, reader_.fd());
    if (verdict == HolderCheck::incredible) error = std::make_error_code(std::errc::bad_message);
    else if (verdict == HolderCheck::changed) error = without_holder(reader_.fd());
  }
}

bool Target::holds_lock() const noexcept { return posix::identity_holder(reader_.fd()).pid == pid_; }

bool Target::has_ended() const noexcept {
  if (!process_) return !holds_lock();
  pollfd ended{process_.get(), POLLIN, 0};
  return posix::poll(&ended, 1, 0) == 1;
}

std::optional<DaemonEnd> Target::end(bool is_supervised) const noexcept {
  constexpr int killed = 128;
  const auto status = posix::wait_status_of(process_);
  if (!status) return {};
  const int code = WEXITSTATUS(*status);
  if (!WIFSIGNALED(*status) && is_supervised && code > killed && code < killed + NSIG)
    return DaemonEnd{.signal = code - killed};
  if (!WIFSIGNALED(*status)) return DaemonEnd{.exit_code = code};
  return DaemonEnd{.signal = WTERMSIG(*status), .core_dumped = WCOREDUMP(*status) != 0};
}

int Target::send(int signal) const noexcept {
  const int error = send_one(signal);
  if (error == 0 && posix::needs_continuing(signal)) static_cast<void>(send_one(SIGCONT));
  return error;
}

int Target::send_one(int signal) const noexcept {
  if (process_) return posix::send_signal(process_, signal);
  return is_self() || holds_lock() ? posix::error_of(posix::kill(pid_, signal)) : ESRCH;
}

bool Target::await_end(Timeout longest, Ticker& ticker) const noexcept {
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

void Target::await_change(const UniqueFd& watch, Clock::time_point deadline, bool ended) const noexcept {
  constexpr std::chrono::milliseconds watched_slice{100};  // some file systems report no changes
  std::array<pollfd, 2> events{{{watch.get(), POLLIN, 0}, {ended ? -1 : end_fd(), POLLIN, 0}}};
  const auto slice = watch && process_ ? watched_slice : blind_slice;
  posix::poll(events.data(), events.size(), posix::poll_timeout(deadline, slice));
  posix::drain_watch(watch);
}

}  // namespace daemonctx
