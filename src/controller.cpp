// SPDX-License-Identifier: BSL-1.0
#include "daemonctx/controller.hpp"

#include <poll.h>

#include <algorithm>
#include <posix/syscalls.hpp>
#include <string>

#include "posix/deadline.hpp"
#include "posix/file_lock.hpp"
#include "posix/pidfd.hpp"
#include "posix/retry.hpp"

namespace daemonctx {
namespace {

using posix::Clock;
using std::chrono::milliseconds;

// The daemon that held the identity lock at one moment: nothing done through it can reach another process.
class Target {
 public:
  // Empty, with an error, if there is no running daemon.
  static Target find(const boost::filesystem::path& pidfile, std::error_code& error) noexcept {
    Target target;
    target.file_ = UniqueFd(
        posix::retry([&] { return posix::open(pidfile.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK); }));
    if (!target.file_) {
      error = errno == ENOENT ? std::make_error_code(std::errc::no_such_process) : posix::last_error();
      return target;
    }
    const posix::IdentityHolder holder = posix::identity_holder(target.file_.get());
    target.pid_ = holder.pid;
    if (holder.held && holder.pid == 0) {  // it runs, in a pid namespace that has no number for us
      error = std::make_error_code(std::errc::not_supported);
      return target;
    }
    if (target.pid_ != 0) target.process_ = posix::open_pidfd(target.pid_);
    // Asked once more: if it still holds the lock, the descriptor names it and not a later process.
    if (!target.holds_lock()) error = std::make_error_code(std::errc::no_such_process);
    return target;
  }

  pid_t pid() const noexcept { return pid_; }

  bool holds_lock() const noexcept { return pid_ != 0 && posix::identity_holder(file_.get()).pid == pid_; }

  int send(int signal) const noexcept {
    if (process_) return posix::send_signal(process_, signal);
    return holds_lock() ? posix::error_of(posix::kill(pid_, signal)) : ESRCH;
  }

  // True if it ended in time.
  bool await_end(milliseconds longest) const noexcept {
    const auto deadline = posix::deadline_in(longest);
    for (;;) {
      const int timeout =
          process_ ? posix::poll_timeout(deadline) : posix::poll_timeout(deadline, blind_slice);
      pollfd ended{process_.get(), POLLIN, 0};
      if (posix::poll(&ended, 1, timeout) == 1) return true;
      if (!process_ && !holds_lock()) return true;
      if (Clock::now() >= deadline) return false;
    }
  }

 private:
  static constexpr milliseconds blind_slice{10};  // without pidfd an end is no event for a stranger

  UniqueFd file_;
  UniqueFd process_;
  pid_t pid_ = 0;
};

void check(const std::error_code& error, const std::string& what) {
  if (error) throw std::system_error(error, what);
}

}  // namespace

Controller::Controller(boost::filesystem::path pidfile) : pidfile_(std::move(pidfile)) {}

StopPolicy Controller::default_stop_policy() {
  using namespace std::chrono_literals;
  return {{SIGTERM, 10s}, {SIGKILL, 5s}};
}

DaemonStatus Controller::status(std::error_code& error) const noexcept {
  error.clear();
  const UniqueFd file(
      posix::retry([&] { return posix::open(pidfile_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK); }));
  if (!file) {
    if (errno != ENOENT) error = posix::last_error();
    return {};
  }
  const posix::IdentityHolder holder = posix::identity_holder(file.get());
  if (holder.held) return {DaemonState::running, holder.pid};
  return {posix::is_excluded(file.get()) ? DaemonState::starting : DaemonState::stale, 0};
}

void Controller::send_signal(int signal, std::error_code& error) const noexcept {
  error.clear();
  const Target target = Target::find(pidfile_, error);
  if (error) return;
  if (const int failure = target.send(signal)) error.assign(failure, std::generic_category());
}

StopResult Controller::stop(const StopPolicy& policy, std::error_code& error) const noexcept {
  error.clear();
  const auto begin = Clock::now();
  const Target target = Target::find(pidfile_, error);
  if (error) return {};
  for (const StopStep& step : policy) {
    const int failure = target.send(step.signal);
    if (failure != 0 && failure != ESRCH) {
      error.assign(failure, std::generic_category());
      return {};
    }
    if (target.await_end(step.wait)) {
      return {target.pid(), step.signal, std::chrono::duration_cast<milliseconds>(Clock::now() - begin)};
    }
  }
  error = std::make_error_code(std::errc::timed_out);
  return {};
}

DaemonStatus Controller::status() const {
  std::error_code error;
  const DaemonStatus result = status(error);
  check(error, "cannot read the pidfile \"" + pidfile_.string() + '"');
  return result;
}

void Controller::send_signal(int signal) const {
  std::error_code error;
  send_signal(signal, error);
  check(error, "cannot signal the daemon of \"" + pidfile_.string() + '"');
}

StopResult Controller::stop(const StopPolicy& policy) const {
  std::error_code error;
  const StopResult result = stop(policy, error);
  check(error, "cannot stop the daemon of \"" + pidfile_.string() + '"');
  return result;
}

}  // namespace daemonctx
