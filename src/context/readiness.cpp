// SPDX-License-Identifier: BSL-1.0
#include "context/readiness.hpp"

#include <posix/syscalls.hpp>
#include <utility>

#include "base/graces.hpp"
#include "posix/flush_streams.hpp"
#include "posix/retry.hpp"
#include "posix/signals.hpp"
#include "supervise/worker_protocol.hpp"

namespace daemonctx {
namespace {

// A monitor that takes longer reads the message later.
void check_monitor_told(int error) {
  if (error == 0 || error == ETIMEDOUT) return;
  throw DaemonError(Step::become_ready, {error, std::generic_category()}, {},
                    "cannot tell the monitor: " + std::generic_category().message(error));
}

}  // namespace

void ReadinessState::become_ready() {
  const posix::Turn::Scope turn(becoming_);
  if (turn.is_nested() || is_ready()) return;
  static_cast<void>(resources_.tie_to_monitor());  // a change of user in the service's set-up undoes the tie
  if (has_failed()) {
    throw DaemonError(Step::become_ready, std::make_error_code(std::errc::operation_canceled), {},
                      "cannot become ready: the service has failed");
  }
  try {
    redirect_output();
    tell_manager();
    tell_caller();
  } catch (const DaemonError& error) {
    const std::lock_guard lock(mutex_);
    error_ = error.what();
    throw;
  }
  tell_supervisor();
  const std::lock_guard lock(mutex_);
  ready_ = true;
}

void ReadinessState::redirect_output() {
  flush_streams();
  int failure = resources_.heir ? resources_.heir->put_output_back() : 0;
  if (failure == 0) failure = resources_.redirection.redirect_output();
  if (failure != 0) throw DaemonError(Step::redirect_stdio, {failure, std::generic_category()});
  if (const int error = resources_.mark_ready()) {
    throw plan_.error_of(Step::write_pidfile, error, resources_.pidfile.reason_of(error));
  }
}

// Tell the manager before the caller ends: without MAINPID the manager takes that for the service's end.
void ReadinessState::tell_manager() {
  const SdNotify& manager = resources_.manager;
  if (!resources_.is_claimed) return;  // its predecessor tells the manager
  const bool is_worker = resources_.worker.is_worker();
  if (is_worker && !manager.reaches_manager())
    return check_monitor_told(manager.barrier(graces::barrier, "READY=1"));
  int error = manager.ready(plan_.detaches() && !is_worker ? posix::getpid() : 0);
  if (error == 0 && (plan_.detaches() || is_worker)) error = manager.barrier(graces::barrier);
  if (is_worker) check_monitor_told(error);  // a manager that can't be reached is no error
}

void ReadinessState::tell_caller() {
  const std::lock_guard lock(mutex_);
  const int error = resources_.status ? resources_.status.send_ready() : 0;
  if (error != 0 && !resources_.heir) {  // an heir goes on without its predecessor
    if (resources_.worker.is_worker()) resources_.manager.send(cut_off_message);
    throw DaemonError(Step::become_ready, {error, std::generic_category()}, {},
                      "the start was cut off: nobody waits for this daemon any more");
  }
  resources_.close_status();
}

void ReadinessState::tell_supervisor() noexcept {
  const UniqueFd fd(std::exchange(resources_.notify_descriptor, -1));
  if (!fd) return;
  posix::NoWriteSignal scope;
  scope.failed(posix::error_of(posix::retry([&] { return posix::write(fd.get(), "\n", 1); })));
}

bool ReadinessState::is_ready() const noexcept {
  const std::lock_guard lock(mutex_);
  return ready_;
}

bool ReadinessState::has_failed() const noexcept {
  const std::lock_guard lock(mutex_);
  return failed_;
}

bool ReadinessState::fail(std::string_view text) noexcept {
  const std::lock_guard lock(mutex_);
  failed_ = true;
  return resources_.status && resources_.status.send_failure(Step::run_service, ECANCELED, text) == 0;
}

void ReadinessState::end(std::string_view reason) noexcept {
  const std::lock_guard lock(mutex_);
  const std::string_view why = error_.empty() ? reason : error_;
  if (!failed_ && resources_.status) resources_.status.send_failure(Step::run_service, ECANCELED, why);
  failed_ = true;
}

}  // namespace daemonctx
