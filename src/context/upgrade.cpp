// SPDX-License-Identifier: BSL-1.0
#include "context/upgrade.hpp"

#include <posix/syscalls.hpp>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "base/deadline.hpp"
#include "base/graces.hpp"
#include "base/timeout_text.hpp"
#include "pidfile/lock_board.hpp"
#include "posix/pidfd.hpp"
#include "posix/signals.hpp"
#include "process/pidfile_claim.hpp"
#include "signals/inbox.hpp"

namespace daemonctx {
namespace {

using posix::Clock;

const char* const was_stopped = "the service was stopped meanwhile";

// Notified by each stop signal, and by `Upgrade::end`.
posix::LastingWakeFd& stops() noexcept { return signal_inbox.stop_wake; }

}  // namespace

void Upgrade::offer(const std::optional<HandOver>& record) noexcept {
  if (!own_.is_wanted) return;
  if (record) {
    runs_ = true;
    notice_ = {.finished = record->finished + 1, .running = true, .requester = record->requester};
  }
  show();
}

void Upgrade::finish() noexcept {
  if (!own_.is_wanted) return;
  const std::lock_guard lock(mutex_);
  notice_.running = false;
  runs_ = false;
  show();
}

// A process that has read a refusal may ask again while the thread that has shown the refusal still runs.
void Upgrade::request(const SignalInfo& signal) noexcept {
  if (!own_.is_wanted || resources_.worker.is_worker() || has_ended_ || !resources_.is_claimed) return;
  if (is_decided_) join();
  {
    const std::lock_guard lock(mutex_);
    if (runs_.exchange(true)) return;
    notice_ = {.finished = notice_.finished, .running = true, .requester = signal.sender_pid};
    show();
  }
  try {
    start(signal);
  } catch (const std::exception& error) {
    refuse(error.what());
  }
}

// `end` may have found no thread to wait for: look whether it was called only after `drain`.
void Upgrade::start(const SignalInfo& signal) {
  std::string reason = obstacle();
  Program program = own_.program.value_or(Program());
  if (reason.empty()) reason = take_requested_file(resources_.pidfile.fd(), signal, program);
  if (!reason.empty()) throw std::runtime_error(reason);
  if (stops().fd() == -1 && stops().open() != 0) throw std::system_error(posix::last_error());
  stops().drain();
  join();  // the thread of an upgrade that was refused
  const std::lock_guard lock(mutex_);
  if (has_ended_) throw std::runtime_error(was_stopped);
  const posix::SignalBlock blocked;
  is_decided_ = false;
  thread_ = std::thread([this, chosen = std::move(program)] { run(chosen); });
}

void Upgrade::join() noexcept {
  const std::lock_guard lock(mutex_);
  if (thread_.joinable()) thread_.join();
}

// What makes a successor impossible, or would take the service from its manager.
std::string Upgrade::obstacle() const {
  const DaemonOptions& options = plan_.options;
  if (!own_.program) return own_.fault;
  if (!hooks_.is_ready()) return "it is not ready itself";
  // By its locks alone, a service that hands over looks like one that has ended.
  if (!posix::open_pidfd(posix::getpid())) return "the kernel has no pidfds, or no descriptor is left";
  if (!options.chroot_directory.empty()) return "it has another root directory, in which the program is not";
  if (!options.restrictions.empty()) return "it is restricted, and a new program would be, too";
  const bool is_told = plan_.launch.mode == LaunchMode::managed && resources_.manager.is_open();
  if (!plan_.detaches() && !is_told)
    return "the program that started it would take its end for the end of the service (mode " +
           std::string(to_string(plan_.launch.mode)) + ')';
  return {};
}

HandOver Upgrade::record() const {
  return {.mode = plan_.launch.mode,
          .requester = notice_.requester,
          .finished = notice_.finished,
          .pidfile = resources_.pidfile.fd(),
          .sockets = resources_.sockets.list(),
          .passed = resources_.listen_descriptors};
}

void Upgrade::run(const Program& program) noexcept {
  std::string reason;
  try {
    HandOver handed_over = record();
    const UniqueFd memory = resources_.copy_of_memory();
    handed_over.memory = memory.get();
    Successor successor(program, std::move(handed_over));
    reason = replace(successor);
  } catch (const std::exception& error) {
    reason = error.what();
  }
  if (!reason.empty()) refuse(std::move(reason));
}

std::string Upgrade::replace(Successor& successor) {
  const UpgradeOptions& options = plan_.options.upgrade;
  std::string reason = successor.await_ready(options.ready_timeout, stops().fd());
  if (reason.empty()) reason = successor.await_proof(options.probation, stops().fd());
  if (reason.empty()) reason = switch_to(successor);
  if (reason.empty()) drain(successor);
  return reason;
}

std::string Upgrade::switch_to(Successor& successor) {
  const posix::Turn::Scope turn(resources_.showing);
  std::unique_lock lock(resources_.pidfile_mutex);
  if (signal_inbox.stop) return was_stopped;
  resources_.is_replaced = true;
  resources_.shows = false;
  resources_.pidfile.disclaim();
  const std::string reason = successor.let_claim();
  if (reason.empty()) {
    successor.leave();
    if (resources_.manager.ready(successor.pid()) == 0)
      static_cast<void>(resources_.manager.barrier(graces::barrier));
    return {};
  }
  successor.kill();  // in an orderly end it could remove the pidfile that it may have claimed
  lock.unlock();
  const int error = take_pidfile_back();
  return error == 0 ? reason
                    : reason + "; cannot take the pidfile back: " + std::generic_category().message(error);
}

// Counts twice: the successor may have shown the next number, and a stop that met the successor looks for a
// higher one.
int Upgrade::take_pidfile_back() {
  resources_.is_replaced = false;
  if (const int error = hooks_.claim_again()) return error;
  if (signal_inbox.stop) process::show_stop();  // it came when this process had no lock to show it by
  resources_.shows = true;
  notice_.finished += 2;
  hooks_.show_again();
  show();
  return hooks_.mark_ready_again();
}

// Whoever stops the service may still mean this process.
void Upgrade::drain(Successor& successor) {
  const Timeout longest = plan_.options.upgrade.drain;
  const auto deadline = posix::deadline_in(longest);
  hooks_.request_stop();
  for (;;) {
    pollfd stopped{stops().fd(), POLLIN, 0};
    const int count = posix::poll(&stopped, 1, posix::poll_timeout(deadline));
    if (has_ended_) return;
    if (count > 0) {
      successor.send(SIGTERM);
      successor.send(SIGCONT);
      successor.await_end(Clock::time_point::max());
      return;
    }
    if (Clock::now() < deadline) continue;
    hooks_.report("this process did not end within " + to_text(longest) + " after the upgrade, and is ended");
    posix::_exit(EXIT_FAILURE);
  }
}

void Upgrade::refuse(std::string reason) noexcept {
  try {
    hooks_.report("refused: " + reason);
  } catch (const std::bad_alloc&) {  // the requester hears of it all the same
    static_cast<void>(0);
  }
  hooks_.show_again();
  is_decided_ = true;
  notice_ = {.finished = notice_.finished + 1,
             .refused = true,
             .requester = notice_.requester,
             .text = std::move(reason)};
  show();
  runs_ = false;
}

void Upgrade::show() noexcept { resources_.show_upgrade(notice_); }

void Upgrade::end() noexcept {
  has_ended_ = true;
  stops().notify();
  const std::lock_guard lock(mutex_);
  if (thread_.get_id() == std::this_thread::get_id()) thread_.detach();  // a stop's callback ends the process
  else if (thread_.joinable()) thread_.join();
}

}  // namespace daemonctx
