// SPDX-License-Identifier: BSL-1.0

// A start: the code of the daemon, the fork, and last `start`, which the caller enters.

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <posix/syscalls.hpp>

#include "context/adoption.hpp"
#include "context/caller_steps.hpp"
#include "context/daemon_steps.hpp"
#include "context/rollback.hpp"
#include "launch/await_daemon.hpp"
#include "launch/detach.hpp"
#include "launch/split_process_1.hpp"
#include "posix/flush_streams.hpp"
#include "posix/retry.hpp"
#include "posix/signals.hpp"
#include "posix/threads.hpp"
#include "posix/unique_fd.hpp"
#include "process/gate.hpp"
#include "process/return_note.hpp"
#include "supervise/monitor.hpp"
#include "upgrade/in_place.hpp"

namespace daemonctx {
namespace {

using Impl = DaemonContext::Impl;

// ---- The daemon after its steps (daemon_steps.cpp). This code may allocate and throw.

void set_user_variables(const Impl& impl) {
  if (impl.plan.options.user.empty()) return;
  // A uid without a name must not keep the starter's variables.
  const std::string& name = impl.plan.identity->name;
  ::setenv("HOME", name.empty() ? "/" : impl.plan.identity->home.c_str(), 1);
  for (const char* variable : {"USER", "LOGNAME"}) {
    if (name.empty()) ::unsetenv(variable);
    else ::setenv(variable, name.c_str(), 1);
  }
}

void set_environment(const Impl& impl) {
  if (impl.plan.options.environment.variables()) {
    ::clearenv();
    for (const auto& [name, value] : *impl.plan.options.environment.variables())
      ::setenv(name.c_str(), value.c_str(), 1);
  }
  set_user_variables(impl);
}

// The last step. From here on the context is open, and every way out runs its end.
void open_context(Impl& impl) {
  impl.owner_thread = std::this_thread::get_id();
  impl.exceptions_at_start = std::uncaught_exceptions();
  set_environment(impl);
  if (!impl.plan.options.title.empty() && !impl.resources.worker.is_worker()) impl.title.set({});
  open_lifetime(impl);
  if (impl.resources.is_claimed) impl.upgrade.offer({});
  if (impl.plan.options.signal_delivery == SignalDelivery::on_own_thread) impl.signals.start_thread();
  if (impl.plan.options.readiness == Readiness::when_constructed) impl.become_ready();
  Surroundings::clear_environment();
}

// No caller waits for a respawned worker: its failure goes to the log.
void report_failure(const Impl& impl, const FailedStep& failure, std::string_view text) noexcept {
  impl.report(std::make_exception_ptr(impl.plan.error_of(failure.step, failure.error, text)), "worker");
}

// The predecessor of a successor may be of a version with other steps.
std::string text_for_predecessor(const Impl& impl, const FailedStep& failure, std::string_view text) {
  return impl.plan.error_of(failure.step, failure.error, text).what();
}

// A monitor that can't take over leaves its process to the former program.
[[noreturn]] void give_up(Impl& impl, const FailedStep& failure, std::string_view text = {}) noexcept {
  if (impl.predecessor) go_back(impl.plan.error_of(failure.step, failure.error, text).what());
  impl.resources.remove_pidfile();
  if (impl.resources.heir) {
    impl.resources.status.send_failure(failure.step, failure.error,
                                       text_for_predecessor(impl, failure, text));
  } else if (impl.resources.worker.is_worker() && !impl.resources.status) report_failure(impl, failure, text);
  else impl.resources.status.send_failure(failure.step, failure.error, text);
  posix::_exit(EXIT_FAILURE);
}

void be_service(Impl& impl) noexcept {
  if (const auto failure = run_worker_steps(impl)) give_up(impl, *failure, impl.refusal);
  try {
    open_context(impl);
  } catch (const DaemonError& error) {
    give_up(impl, {error.step(), error.code().value()}, error.what());
  } catch (...) {
    give_up(impl, {Step::become_ready, ECANCELED}, message_of(std::current_exception()));
  }
}

// Returns in each worker.
void be_monitor(Impl& impl, Monitor& monitor) noexcept {
  try {
    static_cast<void>(monitor.supervise(nullptr));
  } catch (const std::system_error& error) {
    give_up(impl, {Step::start_worker, error.code().value()});
  }
}

void be_daemon(Impl& impl, std::optional<Monitor>& monitor) noexcept {
  if (const auto failure = run_monitor_steps(impl)) give_up(impl, *failure);
  if (monitor) be_monitor(impl, *monitor);
  be_service(impl);
}

// ---- The caller, up to the fork.

DaemonError error_of(const Plan& plan, const StartOutcome& outcome) {
  const bool has_text = outcome.kind != StartOutcome::Kind::failed || !outcome.text.empty();
  DaemonError error = has_text ? to_error(outcome, plan.subject_of(outcome.step), plan.options.ready_timeout)
                               : plan.error_of(outcome.step, outcome.error);
  if (outcome.left.empty()) return error;
  std::string text = error.what();
  for (const pid_t pid : outcome.left)
    text += std::string("; cannot kill process ") + (pid < 0 ? "group " : "") + std::to_string(std::abs(pid));
  return {error.step(), error.code(), error.subject(), text, error.pid()};
}

// Whether every child that this process has after the fork comes from this start.
bool is_childless() noexcept {
  siginfo_t info{};
  return posix::is_single_threaded() &&
         posix::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == -1 && errno == ECHILD;
}

[[noreturn]] void leave_caller(const Impl& impl, pid_t daemon) noexcept {
  const auto& on_launched = impl.plan.options.start_options.on_launched;
  try {
    if (on_launched) on_launched(daemon);
  } catch (...) {  // dropped: the daemon runs already
    static_cast<void>(0);
  }
  if (on_launched) flush_streams();
  posix::_exit(EXIT_SUCCESS);
}

// Returns in the daemon.
void detach(Impl& impl, Ticker& ticker, posix::SignalBlock& blocked) {
  StatusPipe pipe = create_status_pipe();
  impl.kept_descriptors = impl.resources.kept_descriptors(impl.plan, pipe.writer.fd());
  flush_streams();
  ParentScope parent;
  const bool is_alone = is_childless();
  pid_t daemon = 0;
  const pid_t intermediate = start_intermediate(pipe.writer, daemon);
  if (intermediate == 0) {
    blocked.keep();
    parent.keep();
    impl.resources.status = std::move(pipe.writer);
    return;
  }
  if (intermediate == -1) throw DaemonError(Step::start_intermediate, posix::last_error());
  pipe.writer.close();
  impl.resources.sockets.leave_to_daemon();
  StartInProgress launch(intermediate, daemon, is_alone, std::move(pipe.reader));
  StartOutcome outcome = launch.await(impl.plan.options.ready_timeout, blocked.former(), ticker);
  if (outcome.kind == StartOutcome::Kind::ready) {
    launch.reap_intermediate();
    leave_caller(impl, outcome.daemon);
  }
  launch.take_down(outcome);
  throw error_of(impl.plan, outcome);
}

// Before the rollback, which would take from the former program what it needs.
void check(const Impl& impl, const std::optional<FailedStep>& failure) {
  if (!failure) return;
  if (impl.predecessor) go_back(impl.plan.error_of(failure->step, failure->error, impl.refusal).what());
  throw impl.plan.error_of(failure->step, failure->error, impl.refusal);
}

void stay_in_foreground(Impl& impl, posix::SignalBlock& blocked) {
  Rollback rollback(impl);
  check(impl, run_monitor_steps(impl));
  check(impl, run_worker_steps(impl));
  open_context(impl);
  blocked.keep();  // the signal map has put its own mask in force
  rollback.success();
}

// This process is the monitor. Returns in each worker.
void supervise_in_foreground(Impl& impl, Monitor& monitor, posix::SignalBlock& blocked) {
  Rollback rollback(impl);
  check(impl, run_monitor_steps(impl));
  std::optional<StatusPipe> pipe;
  if (!impl.predecessor) {
    pipe = create_status_pipe();
    impl.resources.status = std::move(pipe->writer);
  }
  std::optional<StartOutcome> failed;
  try {
    failed = monitor.supervise(pipe ? &pipe->reader : nullptr);
  } catch (const std::system_error& error) {
    throw DaemonError(Step::start_worker, error.code());
  }
  if (failed) throw error_of(impl.plan, *failed);
  blocked.keep();
  rollback.success();
}

// A program that an upgrade has started is a daemon already.
void stay_detached(Impl& impl, posix::SignalBlock& blocked) {
  impl.kept_descriptors = impl.resources.kept_descriptors(impl.plan, impl.resources.status.fd());
  if (impl.predecessor) {
    for (const int fd : impl.predecessor->descriptors()) impl.kept_descriptors.push_back(fd);
    if (process::return_note.record != -1) impl.kept_descriptors.push_back(process::return_note.record);
    std::sort(impl.kept_descriptors.begin(), impl.kept_descriptors.end());
  }
  blocked.keep();
}

void tell_predecessor(const Impl& impl, const std::exception_ptr& error) noexcept {
  impl.resources.status.send_failure(Step::adopt_predecessor, ECANCELED, message_of(error));
}

// The manager's status text is the last that an operator sees of a failed start.
void tell_manager(SdNotify& manager, const std::exception_ptr& error) noexcept {
  try {
    std::rethrow_exception(error);
  } catch (const std::system_error& failure) {
    manager.failure(failure.code().value(), failure.what());
  } catch (...) {
    manager.status(message_of(error));
  }
}

void open_all(Impl& impl, Ticker& ticker, const sigset_t& waiting_mask) {
  create_directories_and_lock_pidfile(impl, ticker, waiting_mask);
  impl.resources.directories.give_owner_and_mode();
  open_sockets(impl);
  prepare_restrictions(impl.plan.options);
  open_stdio(impl);
}

// A program that was executed again by its descriptor no longer knows the path by which it was started.
void note_program(Impl& impl) {
  OwnProgram& own = impl.upgrade.own_program();
  own.note(impl.plan.signal_map());
  if (own.program && impl.predecessor && was_handed_back()) own.program->file = impl.predecessor->file;
}

// Signals are not blocked yet: a user database on the network may take long to answer.
void look_up_user_or_tell(Impl& impl) {
  try {
    look_up_user(impl);
  } catch (...) {
    tell_manager(impl.resources.manager, std::current_exception());
    throw;
  }
}

}  // namespace

std::unique_ptr<Impl> start(const void* context, DaemonOptions options) {
  validate(options);
  process::ContextClaim claim;
  resolve_options(options);
  std::optional<HandOver> record = HandOver::take();
  const Surroundings surroundings = look_around(options);
  const LaunchDecision launch = record ? LaunchDecision{record->mode, "an upgrade has started this process"}
                                       : decide_launch(options.detach_process, surroundings, options.pidfile);
  auto impl = std::make_unique<Impl>(std::move(options), launch, context);
  const bool is_started = record.has_value();
  if (record) adopt(*impl, std::move(*record));
  note_program(*impl);
  check_threads(*impl);
  fill_standard_descriptors();
  adopt_manager(*impl, surroundings);
  if (launch.mode == LaunchMode::init && !is_started) leave_process_1();
  look_up_user_or_tell(*impl);
  std::optional<Monitor> monitor;
  if (impl->plan.is_supervised() && !impl->resources.worker.is_worker())
    monitor.emplace(impl->monitor_resources());
  // Block signals until everything that the start has made is used, or removed again.
  posix::SignalBlock blocked;
  try {
    Ticker ticker(impl->plan.options.start_options.on_wait);
    open_all(*impl, ticker, blocked.former());
    if (impl->plan.detaches() && is_started) stay_detached(*impl, blocked);
    else if (impl->plan.detaches()) detach(*impl, ticker, blocked);
    else if (monitor) supervise_in_foreground(*impl, *monitor, blocked);
    else stay_in_foreground(*impl, blocked);
  } catch (...) {
    if (impl->predecessor) go_back(message_of(std::current_exception()));
    impl->resources.remove_pidfile();
    impl->resources.directories.remove_made();
    if (impl->resources.heir) tell_predecessor(*impl, std::current_exception());
    else tell_manager(impl->resources.manager, std::current_exception());
    throw;
  }
  if (impl->plan.detaches()) be_daemon(*impl, monitor);
  else impl->resources.keep();
  if (monitor && !impl->plan.detaches()) be_service(*impl);
  claim.keep();
  return impl;
}

}  // namespace daemonctx
