// SPDX-License-Identifier: BSL-1.0

// What `Controller::upgrade` does.

#include <posix/syscalls.hpp>

#include "base/deadline.hpp"
#include "base/graces.hpp"
#include "base/one_line.hpp"
#include "control/target.hpp"
#include "daemonctx/controller.hpp"
#include "pidfile/lock_board.hpp"
#include "pidfile/locks.hpp"
#include "posix/file_watch.hpp"
#include "posix/retry.hpp"
#include "safe_path/trusted_path.hpp"
#include "upgrade/upgrade_notice.hpp"

namespace daemonctx {
namespace {

using posix::Clock;

// The path of another binary, on the requester's own lock board.
class ShownProgram {
 public:
  std::error_code show(const Path& pidfile, const Path& binary) noexcept {
    if (binary.empty()) return {};
    if (binary.native().size() > posix::longest(posix::BoardText::program))
      return std::make_error_code(std::errc::filename_too_long);
    posix::DirectoryEntry entry;
    if (const int error = posix::find_entry(pidfile.c_str(), posix::LastComponent::keep, entry))
      return {error, std::generic_category()};
    constexpr int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
    file_.reset(posix::retry([&] { return posix::openat(entry.directory.get(), entry.name.data(), flags); }));
    if (!file_) return posix::last_error();
    return {posix::show_text(file_.get(), posix::BoardText::program, binary.native()),
            std::generic_category()};
  }

 private:
  UniqueFd file_;
};

// The outcome of this process's own request that began after `before` was read; empty while there is none.
std::optional<UpgradeNotice> outcome_after(int file, pid_t holder, const UpgradeNotice& before) {
  auto notice = read_upgrade_notice(file, holder);
  if (notice && (notice->finished <= before.finished || notice->running)) notice.reset();
  return notice;
}

bool is_service(int file, pid_t pid) noexcept {
  return posix::is_marked_ready(file) && posix::identity_holder(file).pid == pid;
}

// Another start has taken over a pidfile that no upgrade's process holds any more.
bool is_of_later_start(int file, const posix::IdentityHolder& holder, const UpgradeNotice& before) noexcept {
  return holder.held && is_service(file, holder.pid) &&
         count_of_upgrades(file, holder.pid).value_or(0) <= before.finished;
}

// A requester outside the daemon's pid namespace has no pid there.
bool is_of_another(const UpgradeNotice& notice) noexcept {
  return notice.requester != 0 && notice.requester != posix::getpid();
}

// The outcome is shown by the old daemon if it is a refusal, or else by the new one. The new one may still
// fail until it is marked ready.
UpgradeResult await(const Target& target, const UpgradeNotice& before, const UniqueFd& watch,
                    Clock::time_point deadline, Ticker& ticker, std::error_code& error) {
  for (;;) {
    const bool has_ended = target.has_ended();
    const posix::IdentityHolder holder = posix::identity_holder(target.file());
    const auto notice = holder.held ? outcome_after(target.file(), holder.pid, before) : std::nullopt;
    if (notice && is_of_another(*notice)) {
      error = std::make_error_code(std::errc::device_or_resource_busy);
    } else if (notice && notice->refused) {
      error = std::make_error_code(std::errc::invalid_argument);
      return {target.pid(), one_line(notice->text)};
    } else if (notice && is_service(target.file(), holder.pid)) {
      return {holder.pid};
    } else if (!notice && has_ended &&
               (!posix::is_excluded(target.file()) || is_of_later_start(target.file(), holder, before))) {
      error = std::make_error_code(std::errc::operation_canceled);
    } else if (Clock::now() >= deadline) {
      error = std::make_error_code(std::errc::timed_out);
    }
    if (error) return {};
    target.await_change(watch, ticker.wake_up(deadline), has_ended);
    ticker.tick();
  }
}

UpgradeResult upgrade_target(const Target& target, const Path& pidfile, const UpgradeRequest& request,
                             Clock::time_point deadline, Ticker& ticker, std::error_code& error) {
  const auto before =
      target.read_offer([&] { return read_upgrade_notice(target.file(), target.pid()); }, error);
  if (!before && count_of_upgrades(target.file(), target.pid()))  // it is just changing its notice
    error = std::make_error_code(std::errc::resource_unavailable_try_again);
  if (before && before->running) error = std::make_error_code(std::errc::device_or_resource_busy);
  ShownProgram shown;
  if (!error) error = shown.show(pidfile, request.binary);
  if (error) return {};
  const UniqueFd watch = posix::watch_writes(pidfile.c_str());
  const int failure = target.send(request.signal);
  const bool has_successor = failure == ESRCH && posix::is_excluded(target.file());
  error.assign(has_successor ? EAGAIN : failure, std::generic_category());
  if (error) return {};
  return await(target, *before, watch, deadline, ticker, error);
}

}  // namespace

UpgradeResult Controller::upgrade(const UpgradeRequest& request, Timeout longest_wait,
                                  std::error_code& error) const noexcept {
  Ticker ticker(on_wait_);
  try {
    const auto patience = posix::deadline_in(graces::naming);
    const auto deadline = posix::deadline_in(longest_wait);
    for (;;) {
      const Target target = Target::find(pidfile_, ticker, error);
      if (!error && target.is_own_service())
        error = std::make_error_code(std::errc::resource_deadlock_would_occur);
      if (error) return {};
      UpgradeResult result = upgrade_target(target, pidfile_, request, deadline, ticker, error);
      // Another upgrade may be handing the pidfile over at this moment.
      if (error != std::errc::resource_unavailable_try_again || Clock::now() >= patience) return result;
      target.await_end(blind_slice, ticker);
    }
  } catch (const std::exception&) {
    error = std::make_error_code(std::errc::not_enough_memory);
    return {};
  }
}

}  // namespace daemonctx
