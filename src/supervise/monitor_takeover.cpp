// SPDX-License-Identifier: BSL-1.0

// How a monitor whose program was executed in place of another one takes its process and both workers over,
// and how a worker of the other version ends.

#include <algorithm>
#include <posix/syscalls.hpp>
#include <utility>

#include "base/graces.hpp"
#include "posix/retry.hpp"
#include "posix/signal_child.hpp"
#include "supervise/monitor.hpp"
#include "upgrade/in_place.hpp"

namespace daemonctx {

// \return whether there is a worker.
bool Monitor::take_over() {
  if (!resources_.predecessor) return false;
  const HandOver record = std::move(*resources_.predecessor);
  const auto refusal = take_reason_of_return();
  const HandedWorker& mine = record.workers.at(refusal ? 1 : 0);
  const HandedWorker& other = record.workers.at(refusal ? 0 : 1);
  last_number_ = std::max(mine.number, other.number);
  resources_.worker.last_end = record.last_end;
  resources_.reload_notice.finished = record.reloads;
  if (const int error = resources_.pidfile ? resources_.pidfile.mark_ready() : 0)
    throw std::system_error(error, std::generic_category());
  if (const int error = resources_.redirection.follow())
    throw std::system_error(error, std::generic_category());
  stay();
  resources_.predecessor.reset();
  resources_.keep();
  resources_.title.set("monitor");
  was_ever_ready_ = true;
  be_monitor_of(mine);
  const Timeout longest = refusal ? Timeout(graces::termination) : resources_.upgrade.drain;
  let_go({.pid = other.pid,
          .connection = process::PrivateFd(UniqueFd(other.connection)),
          .lifeline = process::PrivateFd(UniqueFd(other.lifeline)),
          .kill_at = posix::deadline_in(longest)});
  static_cast<void>(UniqueFd(other.notes));
  static_cast<void>(UniqueFd(record.program));
  upgrade_notice_ = {.finished = record.finished + 1,
                     .refused = refusal.has_value(),
                     .requester = record.requester,
                     .text = refusal.value_or("")};
  if (refusal)
    resources_.report(std::make_exception_ptr(std::runtime_error("refused: " + *refusal)), "upgrade");
  show_upgrade();
  return worker_ != 0;
}

void Monitor::be_monitor_of(const HandedWorker& worker) {
  use_notes(share_notes(UniqueFd(worker.notes)));
  resources_.worker.number = worker.number;
  connection_.reset(UniqueFd(worker.connection));
  lifeline_.reset(UniqueFd(worker.lifeline));
  worker_ = worker.pid;
  started_ = std::chrono::milliseconds(worker.began);
  ready_ = worker.is_ready;
  offers_reload_ = worker.offers_reload;
  show();
  if (offers_reload_) show_reload(resources_.reload_notice);
  signals_.set_worker(worker_, worker.mapped);
  if (worker.has_released) signals_.release();
}

void Monitor::use_notes(SharedNotes notes) noexcept {
  notes_ = std::move(notes);
  crash_note_ = notes_.crash;
  thread_notes_ = wants_stacks() ? notes_.threads : nullptr;
}

// ---- Workers that are to end.

void Monitor::let_go(LeavingWorker worker) {
  if (worker.pid == 0) return;
  static_cast<void>(posix::signal_child(worker.pid, SIGTERM, upgrade_stop_value));
  leaving_.push_back(std::move(worker));
}

void Monitor::attend_leaving() {
  constexpr int most_messages = 1000;  // a worker that does not stop talking must not keep the monitor
  for (auto each = leaving_.begin(); each != leaving_.end();) {
    for (int count = 0; count < most_messages && receive_message(each->connection.get()); ++count) continue;
    const pid_t ended = posix::retry([&] { return posix::waitpid(each->pid, nullptr, WNOHANG); });
    if (ended != 0) {
      each = leaving_.erase(each);
      continue;
    }
    if (Clock::now() >= each->kill_at) {
      report("killing worker " + std::to_string(each->pid) +
             " of the other version, which did not end in time");
      static_cast<void>(posix::signal_child(each->pid, SIGKILL));
      each->kill_at = Clock::time_point::max();
    }
    ++each;
  }
}

// They would die with this process.
void Monitor::await_leaving() {
  const auto limit = stopping_ ? posix::deadline_in(policy_.stop_timeout) : Clock::now();
  while (attend_leaving(), !leaving_.empty() && Clock::now() < limit) {
    std::vector<pollfd> events{{SignalRelay::fd(), POLLIN, 0}};
    append_upgrade_events(events);
    posix::poll(events.data(), events.size(), posix::poll_timeout(std::min(limit, upgrade_deadline())));
    signals_.dispatch();
  }
}

}  // namespace daemonctx
