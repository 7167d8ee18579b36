// SPDX-License-Identifier: BSL-1.0
#include "supervise/monitor.hpp"

#include <algorithm>
#include <cstdlib>
#include <posix/syscalls.hpp>
#include <utility>

#include "base/deadline.hpp"
#include "base/graces.hpp"
#include "base/timeout_text.hpp"
#include "posix/child_trap.hpp"
#include "posix/die_with_parent.hpp"
#include "posix/flush_streams.hpp"
#include "posix/retry.hpp"
#include "posix/signal_child.hpp"
#include "posix/signals.hpp"
#include "process/fork_handlers.hpp"
#include "process/pidfile_claim.hpp"
#include "supervise/thread_note.hpp"

namespace daemonctx {
namespace {

using std::chrono::milliseconds;

// How often a service manager without room is tried again.
constexpr milliseconds forward_slice{100};

}  // namespace

// ---- The loop.

Monitor::Monitor(MonitorResources resources)
    : resources_(std::move(resources)),
      policy_(resources_.policy),
      backoff_(policy_),
      signals_(
          resources_.signal_map, [this] { request_stop(); },
          [this](int number, int error) { refuse_signal(number, error); },
          [this](const SignalInfo& signal) { request_upgrade(signal); },
          [this](std::uint64_t dropped) { report_dropped(dropped); }),
      crash_note_(resources_.program.is_wanted ? nullptr : share_crash_note()),
      thread_notes_(resources_.program.is_wanted || !wants_stacks() ? nullptr : share_thread_notes()),
      silence_(policy_.hang_timeout) {}

std::optional<StartOutcome> Monitor::supervise(StatusReader* reports) {
  if (const int error = signals_.install(resources_.detaches)) {
    throw std::system_error(error, std::generic_category());
  }
  // Keep no file system in use. A failed chdir() is no reason not to start.
  if (resources_.detaches) static_cast<void>(posix::chdir("/"));
  const bool shares_with_programs = resources_.program.is_wanted && !resources_.predecessor;
  if (shares_with_programs)
    use_notes(share_notes(make_notes()));  // not earlier: the start closes descriptors
  bool has_worker = take_over();
  for (;;) {
    std::optional<WorkerEnd> end;
    try {
      if (!std::exchange(has_worker, false) && start_worker()) return std::nullopt;
    } catch (const std::system_error& error) {
      if (!was_ever_ready_) throw;
      report(std::string("cannot start the worker: ") + error.what());
      end =
          WorkerEnd{.worker_number = resources_.worker.number, .exit_code = EXIT_FAILURE, .was_ready = false};
    }
    if (!end) end = await_worker();
    if (!was_ever_ready_ && !stopping_) return give_up_start(*end, reports);
    note_end(*end);
    const auto delay = stopping_ ? std::nullopt : backoff_.next(*end, Clock::now());
    if (backoff_.gave_up()) {
      report("given up after " + std::to_string(policy_.max_restarts) + " restarts within " +
             to_text(policy_.window) + ": the last worker " + to_string(*end));
    }
    if (!delay || !pause(*delay)) exit_with(exit_code_of(*end));
  }
}

// ---- A worker's life.

bool Monitor::start_worker() {
  resources_.worker.number = ++last_number_;
  WorkerConnection connection = connect_worker();
  posix::Lifeline lifeline = posix::make_lifeline();
  lifeline_.reset(std::move(lifeline.holder));
  resources_.worker.lifeline = std::move(lifeline.dependent);
  if (crash_note_ != nullptr) crash_note_->signal = 0;
  if (thread_notes_ != nullptr) thread_notes_->clear();
  asked_.clear();
  shown_sign_at_ = Clock::time_point::min();
  ready_ = false;
  hung_ = false;
  if (std::exchange(worker_is_stopping_, false) && !stopping_) process::show_stop(false);
  missed_ready_deadline_ = false;
  offers_reload_ = false;
  kill_at_ = Clock::time_point::max();
  if (fork_worker(connection)) return true;
  connection_.reset(std::move(connection.monitor));
  resources_.worker.lifeline.reset();
  started_ = posix::since_boot();
  if (stopping_) kill_at_ = posix::deadline_in(policy_.stop_timeout);
  else kill_at_ = start_deadline();
  show();
  signals_.set_worker(worker_);
  return false;
}

Monitor::Clock::time_point Monitor::start_deadline() const noexcept {
  const auto deadline = posix::deadline_in(resources_.ready_timeout);
  const bool caller_waits = !was_ever_ready_ && resources_.detaches;
  return caller_waits ? posix::later(deadline, graces::caller) : deadline;
}

bool Monitor::fork_worker(WorkerConnection& connection) {
  flush_streams();
  posix::SignalBlock blocked;
  const pid_t monitor = posix::getpid();
  const process::OwnFork own;
  const pid_t worker = posix::fork();
  if (worker == -1) throw std::system_error(posix::last_error());
  worker_ = worker;
  if (worker != 0) return false;
  blocked.keep();
  resources_.worker.monitor = monitor;
  connection.monitor.reset();
  lifeline_.reset();
  replacement_.reset();
  leaving_.clear();
  become_worker(std::move(connection.worker));
  return true;
}

void Monitor::become_worker(UniqueFd connection) noexcept {
  signals_.leave_to_child();
  resources_.manager.watch(std::min(resources_.manager.watchdog_timeout(), policy_.hang_timeout));
  resources_.manager.adopt(std::move(connection));
  resources_.pidfile.leave_to_monitor();
  resources_.redirection.leave_to_worker();
  resources_.output_repair = OutputRepair();  // the worker may be restricted
  // The first worker prints to the terminal until it is ready.
  if (was_ever_ready_) static_cast<void>(resources_.redirection.redirect_output());
  resources_.title.set("worker " + std::to_string(resources_.worker.number));
  crash_lines_.leave_to_monitor();
  note_crashes(crash_note_, thread_notes_);
}

WorkerEnd Monitor::await_worker() {
  for (;;) {
    auto end = reap();
    if (end) signals_.set_worker(0);  // another process may get its pid
    receive_messages();               // also the ended worker's last messages
    if (end) {
      end->was_ready = ready_;
      finish_lines(worker_, graces::last_lines);
      connection_.reset();
      worker_ = 0;
      return *end;
    }
    enforce_deadlines();
    wait_until(next_deadline());
    signals_.dispatch();
  }
}

std::optional<WorkerEnd> Monitor::reap() {
  const pid_t ended = posix::retry([&] { return posix::waitpid(worker_, &wait_status_, WNOHANG); });
  if (ended == 0) return {};
  WorkerEnd end{.worker_number = resources_.worker.number, .pid = worker_, .hung = hung_};
  end.uptime = posix::since_boot() - started_;
  if (ended == -1) {  // other code has taken the status
    end.exit_code = EXIT_FAILURE;
    wait_status_ = W_EXITCODE(EXIT_FAILURE, 0);
  } else if (WIFSIGNALED(wait_status_)) {
    end.signal = WTERMSIG(wait_status_);
    end.core_dumped = WCOREDUMP(wait_status_);
    if (crash_note_ != nullptr && crash_note_->signal == end.signal && crash_note_->pid == worker_)
      end.fault_address = crash_note_->address;
  } else {
    end.exit_code = WEXITSTATUS(wait_status_);
  }
  return end;
}

void Monitor::wait_until(Clock::time_point deadline) {
  attend_upgrade();
  deadline = std::min(deadline, upgrade_deadline());
  std::vector<pollfd> events{{SignalRelay::fd(), POLLIN, 0}, {connection_.get(), POLLIN, 0}};
  if (was_ever_ready_) {
    deadline = std::min(deadline, resources_.output_repair.repair(resources_.stdio, true));
    for (const int fd : resources_.output_repair.watched()) events.push_back({fd, 0, 0});
  }
  for (const auto& pump : resources_.redirection.pumps()) {
    pump->pump(worker_);
    pump->append_events(events);
    deadline = std::min(deadline, pump->next_attempt());
  }
  append_upgrade_events(events);
  if (crash_lines_.is_running()) events.push_back(crash_lines_.event());
  deadline = std::min(deadline, crash_lines_.deadline());
  posix::poll(events.data(), events.size(), posix::poll_timeout(deadline));
  if (const auto lines = crash_lines_.take()) report_crash_lines(*lines);
}

Monitor::Clock::time_point Monitor::next_deadline() {
  auto deadline = kill_at_;
  deadline = std::min(deadline, ready_ ? resources_.manager.next_retry() : resources_.manager.next_ping());
  if (!unforwarded_.empty()) deadline = std::min(deadline, posix::deadline_in(forward_slice));
  if (may_hang()) deadline = std::min(deadline, silence_.next_look(Clock::now()));
  return deadline;
}

// A worker that stops may take `stop_timeout`; its silence is no hang.
bool Monitor::may_hang() const noexcept { return ready_ && !hung_ && !stopping_ && !worker_is_stopping_; }

void Monitor::enforce_deadlines() {
  if (ready_) resources_.manager.say_unsaid();
  else resources_.manager.ping_if_due();
  forward_rest();
  const auto now = Clock::now();
  if (now >= kill_at_) kill_worker();
  if (waits_for_log()) silence_.restart(now);
  if (!may_hang() || !silence_.has_expired(now)) return;
  abort_hung_worker();
}

// `kill_worker` follows if the worker survives.
void Monitor::abort_hung_worker() {
  hung_ = true;
  report("aborting worker " + std::to_string(worker_) + ", which said nothing for " +
         to_text(policy_.hang_timeout));
  if (thread_notes_ != nullptr && thread_notes_->may_ask) asked_ = ask_threads(worker_, *thread_notes_);
  static_cast<void>(posix::signal_child(worker_, SIGABRT));
  kill_at_ = std::min(kill_at_, posix::deadline_in(graces::abort));
}

bool Monitor::waits_for_log() const noexcept {
  const auto& pumps = resources_.redirection.pumps();
  return std::any_of(pumps.begin(), pumps.end(), [](const auto& pump) { return pump->is_blocked(); });
}

void Monitor::finish_lines(pid_t author, milliseconds patience) {
  const auto limit = posix::deadline_in(patience);
  for (const auto& pump : resources_.redirection.pumps()) pump->finish(author, limit);
}

void Monitor::kill_worker() {
  kill_at_ = Clock::time_point::max();
  missed_ready_deadline_ = !ready_ && !stopping_;
  const char* const why = unreachable_ ? "can't be told to stop"
                          : stopping_  ? "did not stop in time"
                          : hung_      ? "hangs, and did not end on SIGABRT"
                                       : "did not become ready in time";
  report("killing worker " + std::to_string(worker_) + ", which " + why);
  const int error = posix::signal_child(worker_, SIGKILL);
  if (error == 0 || error == ESRCH) return;
  report("cannot kill worker " + std::to_string(worker_) + ": " + std::generic_category().message(error));
  exit_with(EXIT_FAILURE);  // the worker dies with this process
}

// ---- Between two workers.

void Monitor::note_end(const WorkerEnd& end) {
  resources_.worker.last_end = end;
  end_reload();
  show();
  if (end.signal != 0 || (end.exit_code != 0 && !stopping_)) {
    report("worker " + std::to_string(end.pid) + " (number " + std::to_string(end.worker_number) + ") " +
           to_string(end));
  }
  explain(end);
  call_on_worker_end(end);
}

void Monitor::explain(const WorkerEnd& end) {
  if (thread_notes_ == nullptr || end.signal == 0) return;
  report_crash_lines(crash_lines_.finish(milliseconds::zero()));  // of the worker before
  crash_lines_.begin(policy_.crash_report, end.pid, read_notes(*thread_notes_, std::move(asked_)));
}

void Monitor::report_crash_lines(const std::vector<std::string>& lines) const noexcept {
  for (const std::string& line : lines) report(line);
}

void Monitor::call_on_worker_end(const WorkerEnd& end) noexcept {
  if (!policy_.on_worker_end) return;
  const posix::ChildTrap trap;
  try {
    policy_.on_worker_end(end);
  } catch (...) {
    resources_.report(std::current_exception(), "on_worker_end");
  }
}

// False if a stop cut the pause short.
bool Monitor::pause(Timeout delay) {
  const auto deadline = posix::deadline_in(delay);
  ready_ = false;
  for (;;) {
    signals_.dispatch();
    if (stopping_) return false;
    if (Clock::now() >= deadline) return true;
    resources_.manager.ping_if_due();
    wait_until(std::min(deadline, resources_.manager.next_ping()));
  }
}

std::optional<StartOutcome> Monitor::give_up_start(const WorkerEnd& end, StatusReader* reports) {
  call_on_worker_end(end);
  StartOutcome outcome;
  outcome.daemon = end.pid;
  outcome.status = wait_status_;
  if (missed_ready_deadline_) outcome.kind = StartOutcome::Kind::timed_out;
  if (reports != nullptr) {
    resources_.status.close();
    read_what_is_left(*reports, outcome);
    return outcome;
  }
  // If the worker has reported a failure itself, that report came first, and counts.
  const std::string text = to_error(outcome, {}, resources_.ready_timeout).what();
  resources_.status.send_failure(Step::become_ready, ECANCELED, text);
  exit_with(exit_code_of(end));
}

void Monitor::exit_with(int status) noexcept {
  if (!stopping_) resources_.manager.stopping();
  report_crash_lines(crash_lines_.finish(stopping_ ? graces::own_lines : graces::last_stack));
  flush_streams();
  await_leaving();
  finish_lines(worker_, graces::own_lines);
  resources_.remove_pidfile();
  posix::_exit(status);
}

}  // namespace daemonctx
