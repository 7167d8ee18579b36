// SPDX-License-Identifier: BSL-1.0
#include "daemonctx/controller.hpp"

#include <posix/syscalls.hpp>
#include <string>

#include "base/deadline.hpp"
#include "base/graces.hpp"
#include "base/one_line.hpp"
#include "control/target.hpp"
#include "daemonctx/error.hpp"
#include "pidfile/lock_board.hpp"
#include "pidfile/locks.hpp"
#include "pidfile/pidfile_reader.hpp"
#include "pidfile/reload_status.hpp"
#include "pidfile/worker_status.hpp"
#include "posix/file_watch.hpp"
#include "posix/retry.hpp"
#include "posix/start_time.hpp"
#include "upgrade/upgrade_notice.hpp"

namespace daemonctx {
namespace {

using posix::Clock;
using std::chrono::milliseconds;

bool is_hidden(int error) noexcept { return error == EACCES || error == EPERM; }

// The status of this process itself. Its own pidfile is not opened: closing it again would drop the locks.
DaemonStatus status_of_self(Pidfile::Own own) noexcept {
  const pid_t pid = posix::getpid();
  return {own == Pidfile::Own::ready ? DaemonState::running : DaemonState::starting, pid,
          posix::start_time(pid)};
}

// An empty pidfile is just created, just removed, or left behind by a daemon that could not remove it.
bool is_empty(int fd) noexcept {
  struct stat file {};
  return posix::fstat(fd, &file) == 0 && (file.st_size == 0 || file.st_nlink == 0);
}

// The daemon may be about to write another text: then both are mixed once, and the next reading is right.
std::string read_status_text(int fd, pid_t author) noexcept {
  constexpr int most_attempts = 3;
  try {
    std::string text = posix::shown_text(fd, posix::BoardText::status, author);
    for (int attempt = 0; attempt < most_attempts; ++attempt) {
      std::string again = posix::shown_text(fd, posix::BoardText::status, author);
      if (again == text) break;
      text = std::move(again);
    }
    return one_line(text);
  } catch (const std::bad_alloc&) {
    return {};
  }
}

DaemonState state_of_holder(int fd) noexcept {
  if (posix::shows_leaving(fd)) return DaemonState::stopping;
  return posix::is_marked_ready(fd) ? DaemonState::running : DaemonState::starting;
}

// Empty: `holder` no longer holds the lock.
std::optional<DaemonStatus> status_of_holder(int fd, const posix::IdentityHolder& holder,
                                             std::error_code& error) noexcept {
  DaemonStatus status{state_of_holder(fd), holder.pid};
  if (holder.pid == 0) return status;
  const HolderCheck verdict = check_holder(holder.pid, fd);
  if (verdict == HolderCheck::changed) return {};
  if (verdict == HolderCheck::incredible) {
    error = std::make_error_code(std::errc::bad_message);
    return DaemonStatus{.state = DaemonState::unknown};
  }
  status.since = posix::start_time(holder.pid);
  status.worker = read_worker_notice(fd, holder.pid);
  status.tag = posix::shown_number(fd, posix::BoardNumber::tag, holder.pid).value_or(0);
  status.text = read_status_text(fd, holder.pid);
  return status;
}

DaemonStatus status_by_locks(int fd, std::error_code& error) noexcept {
  constexpr int most_changes = 10;
  for (int change = 0; change < most_changes; ++change) {
    const posix::IdentityHolder holder = posix::identity_holder(fd);
    if (holder.error != 0) {
      error.assign(holder.error, std::generic_category());
      return {.state = DaemonState::unknown};
    }
    if (!holder.held && posix::is_excluded(fd)) return {.state = DaemonState::starting};
    if (!holder.held) return {.state = is_empty(fd) ? DaemonState::stopped : DaemonState::stale};
    if (const auto status = status_of_holder(fd, holder, error)) return *status;
  }
  error = std::make_error_code(std::errc::bad_message);
  return {.state = DaemonState::unknown};
}

// The outcome of a reload that began after `before` was read; empty while there is none.
std::optional<ReloadNotice> outcome_after(const Target& target, const ReloadNotice& before) {
  bool settled = false;
  auto notice = read_reload_notice(target.file(), target.pid(), settled);
  if (notice && (!settled || notice->finished < before.next())) notice.reset();
  return notice;
}

std::optional<ReloadNotice> await_outcome(const Target& target, const ReloadNotice& before,
                                          const UniqueFd& watch, Clock::time_point deadline, Ticker& ticker,
                                          std::error_code& error) {
  for (;;) {
    const bool ended = target.has_ended();  // before `outcome_after`: a last outcome counts
    if (auto notice = outcome_after(target, before)) return notice;
    if (ended) error = std::make_error_code(std::errc::operation_canceled);
    else if (Clock::now() >= deadline) error = std::make_error_code(std::errc::timed_out);
    if (error) return {};
    target.await_change(watch, ticker.wake_up(deadline));
    ticker.tick();
  }
}

ReloadResult reload_target(const Target& target, const Path& pidfile, Timeout longest_wait, Ticker& ticker,
                           std::error_code& error) {
  const auto before = target.read_offer(
      [&] {
        bool settled = false;  // ignored: only the counts are used
        return read_reload_notice(target.file(), target.pid(), settled);
      },
      error);
  if (!before) return {};
  const UniqueFd watch = posix::watch_writes(pidfile.c_str());
  const auto deadline = posix::deadline_in(longest_wait);
  if (const int failure = target.send(SIGHUP)) error.assign(failure, std::generic_category());
  ReloadResult result{target.pid()};
  if (error || longest_wait <= Timeout()) return result;
  const auto notice = await_outcome(target, *before, watch, deadline, ticker, error);
  if (!notice || !notice->refused) return result;
  error = std::make_error_code(std::errc::invalid_argument);
  result.refusal = notice->text.empty() ? "the daemon gave no reason" : one_line(notice->text);
  return result;
}

StopResult stop_target(const Target& target, const StopPolicy& policy, Ticker& ticker,
                       std::error_code& error) noexcept {
  const bool is_supervised = read_worker_notice(target.file(), target.pid()).has_value();
  for (const StopStep& step : policy) {
    const int failure = target.send(step.signal);
    if (failure != 0 && failure != ESRCH) {
      error.assign(failure, std::generic_category());
      return {};
    }
    if (target.await_end(step.wait, ticker))
      return {.pid = target.pid(), .signal = step.signal, .end = target.end(is_supervised)};
  }
  error = std::make_error_code(std::errc::timed_out);
  return {};
}

std::string explain(const std::string& task, const Path& pidfile, const std::error_code& error) {
  std::string text = "cannot " + task + " the daemon of \"" + pidfile.native() + "\": ";
  if (error == std::errc::no_such_process) return text + "it is not running";
  if (error == std::errc::bad_message) {
    return text +
           "the process that holds its lock can't be it: it is another user's, or does not have it open";
  }
  if (error == std::errc::too_many_symbolic_link_levels) {
    return text + "it is a symbolic link, or others could have put one on the way to it";
  }
  if (error == std::errc::too_many_links) return text + "it has more than one link";
  if (error == std::errc::timed_out) return text + "it has not done so in time";
  if (error == std::errc::operation_canceled) return text + "it ended meanwhile";
  if (error == std::errc::operation_not_supported) return text + "it does not support " + task;
  if (error == std::errc::device_or_resource_busy) return text + "another upgrade is under way";
  if (error == std::errc::not_supported) return text + "it has no number in this pid namespace";
  if (error == std::errc::resource_unavailable_try_again) return text + "it is just being started";
  if (error == std::errc::resource_deadlock_would_occur) return text + "it can't wait for itself";
  return text + error.message();
}

void check(const std::error_code& error, const std::string& task, const Path& pidfile) {
  if (error) throw ControlError(error, explain(task, pidfile, error));
}

}  // namespace

Controller::Controller(Path pidfile, Progress on_wait)
    : pidfile_(std::move(pidfile)), on_wait_(std::move(on_wait)) {}

StopPolicy stop_policy(Timeout before_kill) {
  constexpr std::chrono::seconds after_kill{5};  // the kernel needs time to end the process
  return {{SIGTERM, before_kill}, {SIGKILL, after_kill}};
}

DaemonStatus Controller::status(std::error_code& error) const noexcept {
  error.clear();
  const PidfileReader reader(pidfile_);
  if (reader.own() != Pidfile::Own::no) return status_of_self(reader.own());
  if (reader.error() == 0) return status_by_locks(reader.fd(), error);
  if (reader.error() == ENOENT) return {};
  if (!is_hidden(reader.error())) error.assign(reader.error(), std::generic_category());
  return {.state = DaemonState::unknown};
}

void Controller::send_signal(int signal, std::error_code& error) const noexcept {
  Ticker ticker(on_wait_);
  const Target target = Target::find(pidfile_, ticker, error);
  if (error) return;
  if (const int failure = target.send(signal)) error.assign(failure, std::generic_category());
}

StopResult Controller::stop(const StopPolicy& policy, std::error_code& error) const noexcept {
  const auto begin = Clock::now();
  Ticker ticker(on_wait_);
  for (;;) {
    const Target target = Target::find(pidfile_, ticker, error);
    if (!error && target.is_own_service())
      error = std::make_error_code(std::errc::resource_deadlock_would_occur);
    if (error) return {};
    const auto upgrades = count_before_stop(target.file(), target.pid());
    StopResult result = stop_target(target, policy, ticker, error);
    if (!error && upgrades && has_successor(target.file(), *upgrades)) continue;
    result.took = std::chrono::duration_cast<milliseconds>(Clock::now() - begin);
    return result;
  }
}

ReloadResult Controller::reload(Timeout longest_wait, std::error_code& error) const noexcept {
  Ticker ticker(on_wait_);
  try {
    const auto deadline = posix::deadline_in(graces::naming);
    for (;;) {
      const Target target = Target::find(pidfile_, ticker, error);
      if (!error && target.is_own_service())
        error = std::make_error_code(std::errc::resource_deadlock_would_occur);
      if (error) return {};
      ReloadResult result = reload_target(target, pidfile_, longest_wait, ticker, error);
      // A starting daemon may not have called `on_reload` yet.
      if (error != std::errc::resource_unavailable_try_again || Clock::now() >= deadline) return result;
      target.await_end(blind_slice, ticker);
    }
  } catch (const std::exception&) {
    error = std::make_error_code(std::errc::not_enough_memory);
    return {};
  }
}

int Controller::restart(const Start& start, const StopPolicy& policy) const {
  std::error_code error;
  const StopResult stopped = stop(policy, error);
  if (error != std::errc::no_such_process) check(error, "stop", pidfile_);
  try {
    return start(stopped);
  } catch (const DaemonError& failure) {
    if (failure.step() != Step::lock_pidfile || failure.code() != std::errc::file_exists) throw;
    throw ControlError(failure.code(), std::string("another start won: ") + failure.what());
  }
}

int Controller::restart(const Start& start, const StopPolicy& policy, std::error_code& error) const {
  error.clear();
  try {
    return restart(start, policy);
  } catch (const std::system_error& failure) {
    error = failure.code();
    return 1;
  }
}

bool Controller::remove_stale_pidfile(std::error_code& error) const noexcept {
  error.clear();
  try {
    return remove_stale_pidfile();
  } catch (const std::system_error& failure) {
    error = failure.code();
  } catch (const std::bad_alloc&) {
    error = std::make_error_code(std::errc::not_enough_memory);
  }
  return false;
}

bool Controller::remove_stale_pidfile() const {
  const PidfileReader reader(pidfile_);  // as long as it is open, no thread of this process claims the file
  if (reader.own() != Pidfile::Own::no || reader.error() == ENOENT) return false;
  check({reader.error(), std::generic_category()}, "remove the stale pidfile of", pidfile_);
  try {
    return Pidfile::remove_stale(pidfile_);
  } catch (const DaemonError& failure) {
    if (failure.code() == std::errc::no_such_file_or_directory) return false;  // another process removed it
    throw ControlError(failure.code(), failure.what());
  }
}

DaemonStatus Controller::status() const {
  std::error_code error;
  DaemonStatus result = status(error);
  check(error, "ask for", pidfile_);
  return result;
}

void Controller::send_signal(int signal) const {
  std::error_code error;
  send_signal(signal, error);
  check(error, "signal", pidfile_);
}

StopResult Controller::stop(const StopPolicy& policy) const {
  std::error_code error;
  StopResult result = stop(policy, error);
  check(error, "stop", pidfile_);
  return result;
}

ReloadResult Controller::reload(Timeout longest_wait) const {
  std::error_code error;
  ReloadResult result = reload(longest_wait, error);
  if (error == std::errc::invalid_argument) throw ControlError(error, result.refusal);
  check(error, "reload", pidfile_);
  return result;
}

UpgradeResult Controller::upgrade(const UpgradeRequest& request, Timeout longest_wait) const {
  std::error_code error;
  UpgradeResult result = upgrade(request, longest_wait, error);
  if (error == std::errc::invalid_argument) throw ControlError(error, result.refusal);
  check(error, "upgrade", pidfile_);
  return result;
}

}  // namespace daemonctx
