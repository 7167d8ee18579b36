// SPDX-License-Identifier: BSL-1.0

// The messages that a monitor receives from its worker, and what the monitor shows to others.

#include <posix/syscalls.hpp>
#include <stdexcept>
#include <utility>

#include "base/signal_name.hpp"
#include "pidfile/lock_board.hpp"
#include "pidfile/worker_status.hpp"
#include "posix/child_trap.hpp"
#include "posix/signal_child.hpp"
#include "process/pidfile_claim.hpp"
#include "safe_path/trusted_file.hpp"
#include "signals/inbox.hpp"
#include "supervise/monitor.hpp"

namespace daemonctx {

void Monitor::receive_messages() {
  // A worker that does not stop talking must not keep the monitor from its other work.
  constexpr int most_messages = 1000;
  for (int count = 0; count < most_messages; ++count) {
    auto message = receive_message(connection_.get());
    if (!message) return;
    handle(std::move(*message));
  }
}

void Monitor::handle(WorkerMessage message) {
  const std::string& text = message.text;
  note_sign_of_life();
  if (!ready_ && says_ready(text)) {
    become_ready();
    if (text == "READY=1") return;
  }
  if (text == reopen_message) return reopen_output(std::move(message.descriptor));
  if (const auto which = memory_to_keep(text)) return remember(*which, std::move(message.descriptor));
  if (const auto place = file_to_open(text)) return open_for_worker(*place, std::move(message.descriptor));
  if (text == cut_off_message) return request_stop();
  if (text == released_message) return signals_.release();
  if (auto notice = told_reload(text)) {
    if (notice->finished - resources_.reload_notice.finished > 1) return;  // reloads are counted one by one
    offers_reload_ = true;
    if (notice->running) signals_.acknowledge(SIGHUP);  // another SIGHUP may precede the notice of the end
    return show_reload(std::move(*notice));
  }
  if (const auto number = mapped_signal(text)) {
    if (*number == SIGHUP) offers_reload_ = false;  // if it is mapped to reload, a notice follows
    return signals_.worker_mapped(*number);
  }
  // The manager hears of a worker's end only if the service ends, too.
  if (text == "STOPPING=1") {
    worker_is_stopping_ = true;
    process::show_stop();  // until the next worker starts, if there is one
    return;
  }
  if (text == "WATCHDOG=1" && resources_.manager.watchdog_timeout().is_forever()) return;
  if (text == "WATCHDOG=1") return resources_.manager.ping();
  if (const auto status = told_status(text); status && resources_.pidfile)
    posix::show_text(resources_.pidfile.fd(), posix::BoardText::status, *status);
  const std::string passed = for_manager(text);
  if (!passed.empty()) forward({passed, std::move(message.descriptor)});
}

// Readers of the status need no finer time than a second.
void Monitor::note_sign_of_life() {
  constexpr std::chrono::seconds resolution{1};
  const auto now = Clock::now();
  silence_.restart(now);
  if (policy_.hang_timeout.is_forever() || !resources_.pidfile || now < shown_sign_at_ + resolution) return;
  shown_sign_at_ = now;
  show_sign_of_life(resources_.pidfile.fd());
}

// A descriptor stays open until the manager has it: a worker takes its end for the manager's answer.
void Monitor::forward(WorkerMessage message) {
  constexpr std::size_t most_kept = 64;
  if (unforwarded_.size() < most_kept) unforwarded_.push_back(std::move(message));
  else if (!std::exchange(drops_, true)) report("the service manager does not read: messages are lost");
  forward_rest();
}

void Monitor::forward_rest() {
  while (!unforwarded_.empty()) {
    const WorkerMessage& next = unforwarded_.front();
    if (resources_.manager.send(next.text, next.descriptor.get()) == EAGAIN) return;
    unforwarded_.pop_front();
    drops_ = false;
  }
}

void Monitor::become_ready() {
  if (!was_ever_ready_) {
    if (const int error = resources_.pidfile ? resources_.pidfile.mark_ready() : 0)
      return fail_start(Step::write_pidfile, error, resources_.pidfile.reason_of(error));
    if (const int error = resources_.redirection.follow()) return fail_start(Step::redirect_stdio, error);
    was_ever_ready_ = true;
    resources_.keep();
    resources_.title.set("monitor");  // not earlier: a start in the foreground that fails must change nothing
    resources_.status.close();
    show_upgrade();
    // The worker has told the supervisor, which may wait for the end of file, and so for this copy too.
    UniqueFd told(std::exchange(resources_.notify_descriptor, -1));
  }
  ready_ = true;
  if (!stopping_) kill_at_ = Clock::time_point::max();
  resources_.manager.ready(resources_.detaches ? posix::getpid() : 0);
}

// The worker waits until the monitor has read its message, so the caller has not heard of readiness yet.
void Monitor::fail_start(Step step, int error, const std::string& reason) {
  resources_.status.send_failure(step, error, reason);
  if (posix::signal_child(worker_, SIGKILL) == EPERM) exit_with(EXIT_FAILURE);  // it dies with this process
}

void Monitor::reopen_output(UniqueFd asker) noexcept {
  std::string refusal;
  try {
    resources_.redirection.reopen(resources_.stdio, resources_.pidfile.fd());
  } catch (const std::exception& error) {
    refusal = error.what();
  }
  const auto passes = [this](int stream) { return resources_.redirection.reopens(resources_.stdio, stream); };
  answer_reopen(std::move(asker), refusal, passes(STDOUT_FILENO), passes(STDERR_FILENO));
}

void Monitor::remember(Memory which, UniqueFd asker) noexcept {
  UniqueFd memory = answer_keep(std::move(asker));
  if (memory) resources_.worker.remembered.at(static_cast<std::size_t>(which)) = std::move(memory);
}

// Only what the program has named before the start: the worker may be in the hands of an attacker.
void Monitor::open_for_worker(std::size_t place, UniqueFd asker) noexcept {
  UniqueFd file;
  errno = EPERM;
  if (place < policy_.monitor_opens.size()) file = posix::open_trusted_file(policy_.monitor_opens[place]);
  const int error = errno;
  answer_open(std::move(asker), file, error);
}

void Monitor::show_reload(ReloadNotice notice) noexcept {
  resources_.reload_notice = std::move(notice);
  if (!resources_.pidfile) return;
  show_outcome(resources_.pidfile.fd(), resources_.reload_notice);
  resources_.pidfile.rewrite_pid();
}

// Some process may wait for a reload that the worker did not survive, or has not begun.
void Monitor::end_reload() {
  if (offers_reload_) signals_.requeue(SIGHUP);
  if (!resources_.reload_notice.running) return;
  show_reload({resources_.reload_notice.finished + 1, false, true, "the worker ended meanwhile"});
}

void Monitor::show() noexcept {
  if (!resources_.pidfile) return;
  WorkerNotice notice{resources_.worker.number, {}, resources_.worker.last_end};
  const bool runs =
      !resources_.worker.last_end || resources_.worker.last_end->worker_number != resources_.worker.number;
  if (runs) notice.began = started_;
  else posix::show_text(resources_.pidfile.fd(), posix::BoardText::status, {});
  show_worker(resources_.pidfile.fd(), notice);
}

void Monitor::report(const std::string& text) const noexcept {
  const posix::ChildTrap trap;
  if (was_ever_ready_) static_cast<void>(resources_.output_repair.repair(resources_.stdio, true));
  resources_.report(std::make_exception_ptr(std::runtime_error(text)), "monitor");
}

void Monitor::request_stop() {
  if (std::exchange(stopping_, true)) return;
  if (replacement_) refuse_upgrade("the service was stopped meanwhile");
  kill_at_ = posix::deadline_in(policy_.stop_timeout);
  process::show_stop();
  resources_.manager.stopping();
}

void Monitor::report_dropped(std::uint64_t signals) const noexcept {
  for (const std::string& line : dropped_lines(signals)) report(line);
}

// A worker that can't be told to stop gets no time for it.
void Monitor::refuse_signal(int number, int error) {
  report("cannot hand " + posix::signal_name(number) + " on to worker " + std::to_string(worker_) + ": " +
         std::generic_category().message(error) + " (the monitor needs CAP_KILL or CAP_SETUID)");
  if (!stopping_) return;
  unreachable_ = true;
  kill_at_ = Clock::now();
}

}  // namespace daemonctx
