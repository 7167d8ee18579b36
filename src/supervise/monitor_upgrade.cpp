// SPDX-License-Identifier: BSL-1.0

// How a monitor replaces the program of its service, and itself, by a new version. It starts a worker of the
// new version, which proves itself beside the present one. Then it executes the new program in its own
// process, which takes both workers over and ends the old one.

#include <algorithm>
#include <posix/syscalls.hpp>
#include <utility>

#include "base/graces.hpp"
#include "base/timeout_text.hpp"
#include "pidfile/lock_board.hpp"
#include "posix/die_with_parent.hpp"
#include "posix/flush_streams.hpp"
#include "posix/pidfd.hpp"
#include "posix/retry.hpp"
#include "posix/sealed_memory.hpp"
#include "posix/signal_child.hpp"
#include "posix/signals.hpp"
#include "signals/inbox.hpp"
#include "supervise/monitor.hpp"
#include "upgrade/in_place.hpp"

namespace daemonctx {
namespace {

std::size_t place_of(Memory which) noexcept { return static_cast<std::size_t>(which); }

}  // namespace

// ---- The old version: a worker of the new one.

void Monitor::request_upgrade(const SignalInfo& signal) {
  if (upgrade_notice_.running || stopping_) return;
  upgrade_notice_ = {.finished = upgrade_notice_.finished, .running = true, .requester = signal.sender_pid};
  show_upgrade();
  std::string reason;
  try {
    reason = begin_upgrade(signal);
  } catch (const std::exception& error) {
    reason = error.what();
  }
  if (!reason.empty()) refuse_upgrade(reason);
}

std::string Monitor::begin_upgrade(const SignalInfo& signal) {
  if (!resources_.program.program) return resources_.program.fault;
  if (!ready_) return "it is not ready itself";
  if (!posix::open_pidfd(posix::getpid())) return "the kernel has no pidfds, or no descriptor is left";
  Program program = *resources_.program.program;
  leaving_.reserve(leaving_.size() + 1);  // a refusal must not fail
  std::string refusal = take_requested_file(resources_.pidfile.fd(), signal, program);
  if (!refusal.empty()) return refusal;
  WorkerConnection connection = connect_worker();
  posix::Lifeline lifeline = posix::make_lifeline();
  UniqueFd notes = make_notes();
  HandOver record = record_for_worker(connection.worker, lifeline.dependent, notes);
  const unsigned number = record.number;
  const Redirection& redirection = resources_.redirection;
  const std::array<int, 2> streams = {redirection.of_worker(STDOUT_FILENO),
                                      redirection.of_worker(STDERR_FILENO)};
  replacement_ = std::make_unique<Replacement>(std::move(program), std::move(record), streams);
  last_number_ = number;
  replacement_->connection.reset(std::move(connection.monitor));
  replacement_->lifeline.reset(std::move(lifeline.holder));
  replacement_->notes = std::move(notes);
  replacement_->reloads = resources_.reload_notice.finished;
  replacement_->worker.pid = replacement_->successor.pid();
  replacement_->worker.number = number;
  replacement_->worker.began = posix::since_boot().count();
  replacement_->deadline = posix::deadline_in(resources_.upgrade.ready_timeout);
  return {};
}

HandOver Monitor::record_for_worker(const UniqueFd& connection, const UniqueFd& lifeline,
                                    const UniqueFd& notes) const {
  HandOver record{.role = HandOver::Role::worker,
                  .mode = resources_.mode,
                  .reloads = resources_.reload_notice.finished,
                  .number = last_number_ + 1,
                  .monitor = posix::getpid(),
                  .pidfile = resources_.pidfile.worker_handle(),
                  .connection = connection.get(),
                  .lifeline = lifeline.get(),
                  .notes = notes.get(),
                  .memory = resources_.worker.remembered.at(place_of(Memory::program)).get(),
                  .service_memory = resources_.worker.remembered.at(place_of(Memory::service)).get(),
                  .sockets = resources_.sockets.list(),
                  .passed = resources_.passed,
                  .pump_count = static_cast<unsigned>(resources_.redirection.pumps().size()),
                  .last_end = resources_.worker.last_end};
  for (const Path& file : policy_.monitor_opens) record.opens.push_back(file.native());
  return record;
}

void Monitor::append_upgrade_events(std::vector<pollfd>& to) const {
  if (replacement_) {
    replacement_->successor.append_events(to);
    to.push_back({replacement_->connection.get(), POLLIN, 0});
  }
  for (const LeavingWorker& each : leaving_) to.push_back({each.connection.get(), POLLIN, 0});
}

// A service that is not at rest is looked at again soon.
Monitor::Clock::time_point Monitor::upgrade_deadline() const noexcept {
  constexpr std::chrono::milliseconds slice{50};
  auto deadline = Clock::time_point::max();
  if (replacement_) deadline = std::max(replacement_->deadline, posix::deadline_in(slice));
  for (const LeavingWorker& each : leaving_) deadline = std::min(deadline, each.kill_at);
  return deadline;
}

void Monitor::attend_upgrade() {
  attend_leaving();
  if (!replacement_) return;
  hear_replacement();
  Replacement& next = *replacement_;
  if (!next.is_in_probation) {
    auto verdict = next.successor.is_ready_or_why_not();
    if (!verdict && Clock::now() >= next.deadline)
      verdict = "it was not ready within " + to_text(resources_.upgrade.ready_timeout);
    if (!verdict) return;
    if (!verdict->empty()) return refuse_upgrade(*verdict);
    next.is_in_probation = true;
    next.deadline = posix::deadline_in(resources_.upgrade.probation);
  }
  if (const auto end = next.successor.end_in_probation()) return refuse_upgrade(*end);
  if (Clock::now() >= next.deadline && is_at_rest()) execute_new_program();
}

void Monitor::hear_replacement() {
  constexpr int most_messages = 1000;
  for (int count = 0; count < most_messages && replacement_; ++count) {
    auto message = receive_message(replacement_->connection.get());
    if (!message) return;
    handle_of_replacement(std::move(*message));
  }
}

// Whatever it tells that others shall see is for the program that takes over.
void Monitor::handle_of_replacement(WorkerMessage message) {
  const std::string& text = message.text;
  HandedWorker& worker = replacement_->worker;
  if (says_ready(text)) worker.is_ready = true;
  if (text == reopen_message) return reopen_output(std::move(message.descriptor));
  if (const auto place = file_to_open(text)) return open_for_worker(*place, std::move(message.descriptor));
  if (const auto which = memory_to_keep(text)) {
    UniqueFd memory = answer_keep(std::move(message.descriptor));
    if (memory) replacement_->remembered.at(place_of(*which)) = std::move(memory);
  } else if (auto name = worker.is_ready ? std::nullopt : told_socket(text)) {
    replacement_->sockets.emplace_back(std::move(*name), std::move(message.descriptor));
  } else if (text == released_message) {
    worker.has_released = true;
  } else if (const auto number = mapped_signal(text)) {
    worker.mapped |= signal_bit(*number);
  } else if (const auto notice = told_reload(text)) {
    worker.offers_reload = true;
    replacement_->reloads = notice->finished;
  } else if (auto status = told_status(text)) {
    replacement_->status = std::move(*status);
  }
}

// ---- The old version: the change.

// What is under way here the program that follows would not know of.
bool Monitor::is_at_rest() const noexcept {
  return !resources_.reload_notice.running && unforwarded_.empty() && !waits_for_log() &&
         !crash_lines_.is_running();
}

void Monitor::execute_new_program() {
  const posix::SignalBlock blocked;
  signals_.dispatch();
  hear_replacement();
  if (!replacement_ || stopping_ || !is_at_rest()) return;
  if (offers_reload_) signals_.requeue(SIGHUP);
  flush_streams();
  int error = 0;
  try {
    std::vector<UniqueFd> made;
    const HandOver record = record_for_program(made);
    sigset_t mask = signals_.leave_to_program();
    for (int number = 1; number < NSIG; ++number) {
      if (sigismember(&blocked.former(), number) == 1) sigaddset(&mask, number);
    }
    error = execute_in_place(replacement_->program, record, mask);
  } catch (const std::system_error& failure) {
    error = failure.code().value();
  }
  static_cast<void>(signals_.install(resources_.detaches));
  signals_.set_worker(worker_);
  refuse_upgrade("cannot execute \"" + replacement_->program.file +
                 "\" in place of the monitor: " + std::generic_category().message(error));
}

// \param made keeps open what the record names and nobody else has.
HandOver Monitor::record_for_program(std::vector<UniqueFd>& made) {
  Replacement& next = *replacement_;
  HandOver record{.role = HandOver::Role::monitor,
                  .mode = resources_.mode,
                  .requester = upgrade_notice_.requester,
                  .finished = upgrade_notice_.finished,
                  .reloads = std::max(next.reloads, resources_.reload_notice.finished),
                  .pidfile = resources_.pidfile.fd(),
                  .worker_pidfile = resources_.pidfile.worker_handle(),
                  .passed = resources_.passed,
                  .last_end = resources_.worker.last_end};
  made.emplace_back(posix::open("/proc/self/exe", O_PATH | O_CLOEXEC));
  if (!made.back()) throw std::system_error(posix::last_error());
  record.program = made.back().get();
  record.file = resources_.program.program->file;
  const auto memory_of = [&](Memory which) {
    const UniqueFd& told = next.remembered.at(place_of(which));
    return (told ? told : resources_.worker.remembered.at(place_of(which))).get();
  };
  record.memory = memory_of(Memory::program);
  record.service_memory = memory_of(Memory::service);
  for (const auto& [name, fd] : next.sockets) record.sockets.push_back({name, fd.get()});
  hand_pumps_on(record, made);
  HandedWorker kept = next.worker;
  kept.connection = next.connection.get();
  kept.lifeline = next.lifeline.get();
  kept.notes = next.notes.get();
  HandedWorker former{.pid = worker_,
                      .number = resources_.worker.number,
                      .began = started_.count(),
                      .mapped = signals_.mapped(),
                      .is_ready = ready_,
                      .offers_reload = offers_reload_,
                      .has_released = true,
                      .connection = connection_.get(),
                      .lifeline = lifeline_.get(),
                      .notes = notes_.memory.get()};
  record.workers = {kept, former};
  resources_.manager.send("STATUS=" + next.status);
  if (resources_.pidfile) posix::show_text(resources_.pidfile.fd(), posix::BoardText::status, next.status);
  return record;
}

void Monitor::hand_pumps_on(HandOver& record, std::vector<UniqueFd>& made) const {
  for (const auto& pump : resources_.redirection.pumps()) {
    const LineReader& lines = pump->worker_lines();
    HandedPump handed{.reader = lines.reader(), .writer = lines.writer()};
    if (!lines.rest().empty()) {
      made.push_back(posix::sealed_memory(lines.rest()));
      handed.rest = made.back().get();
    }
    record.pumps.push_back(handed);
  }
}

void Monitor::refuse_upgrade(const std::string& reason) noexcept {
  try {
    resources_.report(std::make_exception_ptr(std::runtime_error("refused: " + reason)), "upgrade");
  } catch (const std::bad_alloc&) {  // the requester hears of it all the same
    static_cast<void>(0);
  }
  if (replacement_) {
    replacement_->successor.leave();
    let_go({.pid = replacement_->successor.has_ended() ? 0 : replacement_->successor.pid(),
            .connection = std::move(replacement_->connection),
            .lifeline = std::move(replacement_->lifeline),
            .kill_at = posix::deadline_in(graces::termination)});
    replacement_.reset();
  }
  upgrade_notice_ = {.finished = upgrade_notice_.finished + 1,
                     .refused = true,
                     .requester = upgrade_notice_.requester,
                     .text = reason};
  show_upgrade();
}

void Monitor::show_upgrade() noexcept {
  if (!resources_.program.is_wanted || !resources_.pidfile) return;
  static_cast<void>(daemonctx::show_upgrade(resources_.pidfile.fd(), upgrade_notice_));
  resources_.pidfile.rewrite_pid();
}

}  // namespace daemonctx
