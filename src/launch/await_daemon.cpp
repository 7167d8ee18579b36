// SPDX-License-Identifier: BSL-1.0
#include "launch/await_daemon.hpp"

#include <algorithm>
#include <array>
#include <posix/syscalls.hpp>

#include "base/deadline.hpp"
#include "base/one_line.hpp"
#include "base/signal_name.hpp"
#include "base/timeout_text.hpp"
#include "launch/interruption.hpp"
#include "posix/pidfd.hpp"
#include "posix/poll_until.hpp"
#include "posix/retry.hpp"

namespace daemonctx {
namespace {

using posix::Clock;

std::string describe_end(const std::optional<int>& status) {
  if (!status) return "the daemon ended before it was ready";
  if (WIFSIGNALED(*status)) {
    return "the daemon was killed by " + posix::signal_name(WTERMSIG(*status)) +
           (WCOREDUMP(*status) ? " (core dumped)" : "") + " before it was ready";
  }
  return "the daemon exited with code " + std::to_string(WEXITSTATUS(*status)) + " before it was ready";
}

void note(StatusReport report, StartOutcome& outcome) {
  if (report.kind == StatusRecord::Kind::ready) {
    if (outcome.kind != StartOutcome::Kind::failed) outcome.kind = StartOutcome::Kind::ready;
  } else if (outcome.kind != StartOutcome::Kind::failed) {  // the first failure is the cause of any other
    outcome.kind = StartOutcome::Kind::failed;
    outcome.step = report.step;
    outcome.error = report.error;
    outcome.text = one_line(std::move(report.text));
  }
}

// How often the caller looks whether the daemon has ended, on a system without pidfds.
constexpr std::chrono::milliseconds look_slice{50};

bool is_zombie(pid_t child) noexcept {
  siginfo_t info{};
  return posix::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
         info.si_pid == child;
}

// One report at most: a daemon that never stops reporting must not keep the caller from its deadline.
void read_report(StatusReader& status, StartOutcome& outcome) {
  if (auto report = status.next()) note(std::move(*report), outcome);
  outcome.gone = status.is_over();
}

}  // namespace

void read_what_is_left(StatusReader& status, StartOutcome& outcome) {
  constexpr int most_reports = 1000;  // a pipe holds fewer; another process may go on writing
  for (int count = 0; count < most_reports && !status.is_over(); ++count) {
    auto report = status.next();
    if (!report) break;
    note(std::move(*report), outcome);
  }
  outcome.gone = true;
}

StartOutcome StartInProgress::await(Timeout timeout, const sigset_t& mask, Ticker& ticker) {
  const auto deadline = posix::deadline_in(timeout);
  const Interruption interruption;
  await_intermediate();
  StartOutcome outcome{.daemon = daemon_};
  // Shows the daemon's end even while another process holds a copy of the pipe.
  const UniqueFd daemon = daemon_ == 0 ? UniqueFd() : posix::open_pidfd(daemon_);
  const bool lacks_pidfd = daemon_ != 0 && !daemon;
  for (;;) {
    std::array<pollfd, 3> events{
        {{status_.fd(), POLLIN, 0}, {interruption.fd(), POLLIN, 0}, {daemon.get(), POLLIN, 0}}};
    auto wake_up = ticker.wake_up(deadline);
    if (lacks_pidfd) wake_up = std::min(wake_up, posix::deadline_in(look_slice));
    posix::poll_until(events, wake_up, &mask);
    ticker.tick();
    const bool has_ended = lacks_pidfd ? is_zombie(daemon_) : events[2].revents != 0;
    if (has_ended) read_what_is_left(status_, outcome);
    else if (events[0].revents != 0) read_report(status_, outcome);
    if (outcome.gone || outcome.kind == StartOutcome::Kind::ready) return outcome;
    if (interruption.signal() == 0 && Clock::now() < deadline) continue;
    outcome.signal = interruption.signal();
    if (outcome.kind == StartOutcome::Kind::failed) return outcome;
    outcome.kind = outcome.signal == 0 ? StartOutcome::Kind::timed_out : StartOutcome::Kind::interrupted;
    return outcome;
  }
}

// The daemon becomes a child of this process when the intermediate ends.
void StartInProgress::await_intermediate() const noexcept {
  siginfo_t info{};
  posix::retry([&] { return posix::waitid(P_PID, static_cast<id_t>(group_), &info, WEXITED | WNOWAIT); });
}

void StartInProgress::reap_intermediate() const noexcept {
  posix::retry([&] { return posix::waitpid(group_, nullptr, 0); });
}

DaemonError to_error(const StartOutcome& outcome, const std::string& subject, Timeout timeout) {
  const auto canceled = std::make_error_code(std::errc::operation_canceled);
  switch (outcome.kind) {
    case StartOutcome::Kind::failed:
      if (outcome.text.empty()) return {outcome.step, {outcome.error, std::generic_category()}, subject};
      return {outcome.step, {outcome.error, std::generic_category()}, subject, outcome.text, outcome.daemon};
    case StartOutcome::Kind::timed_out:
      return {Step::become_ready, std::make_error_code(std::errc::timed_out), subject,
              "the daemon was not ready within " + to_text(timeout), outcome.daemon};
    case StartOutcome::Kind::interrupted:
      return {Step::become_ready, std::make_error_code(std::errc::interrupted), subject,
              "the start was interrupted by " + posix::signal_name(outcome.signal), outcome.daemon};
    case StartOutcome::Kind::ready:
    case StartOutcome::Kind::ended:
      break;
  }
  return {Step::become_ready, canceled, subject, describe_end(outcome.status), outcome.daemon};
}

}  // namespace daemonctx
