// SPDX-License-Identifier: BSL-1.0

// A start: the code of the daemon, the fork, and last `start`, which the caller enters.

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <posix/syscalls.hpp>

#include "context/caller_steps.hpp"
#include "context/daemon_steps.hpp"
#include "launch/await_daemon.hpp"
#include "launch/detach.hpp"
#include "launch/split_process_1.hpp"
#include "posix/flush_streams.hpp"
#include "posix/limits.hpp"
#include "posix/retry.hpp"
#include "posix/signals.hpp"
#include "posix/threads.hpp"
#include "posix/unique_fd.hpp"
#include "process/gate.hpp"
#include "supervise/monitor.hpp"

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

[[noreturn]] void give_up(Impl& impl, const FailedStep& failure, std::string_view text = {}) noexcept {
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

// The environment before `set_environment`. Copies nothing if the options leave it alone.
class FormerEnvironment {
 public:
  explicit FormerEnvironment(const DaemonOptions& options)
      : is_changed_(options.environment.variables() || !options.user.empty()) {
    for (char** each = ::environ; is_changed_ && each != nullptr && *each != nullptr; ++each) {
      const std::string_view text = *each;
      const auto sign = std::min(text.find('='), text.size());
      variables_.emplace_back(text.substr(0, sign), text.substr(std::min(sign + 1, text.size())));
    }
  }

  void put_back() const noexcept {
    if (!is_changed_) return;
    ::clearenv();
    for (const auto& [name, value] : variables_) ::setenv(name.c_str(), value.c_str(), 1);
  }

 private:
  bool is_changed_;
  std::vector<std::pair<std::string, std::string>> variables_;
};

// Undoes what a start in the foreground has changed, unless the start succeeds.
class Rollback {
 public:
  explicit Rollback(Impl& impl)
      : impl_(impl),
        environment_(impl.plan.options),
        directory_(posix::open(".", O_PATH | O_DIRECTORY | O_CLOEXEC)),
        limits_(impl.plan.options.limits),
        umask_(posix::umask(impl.plan.options.umask)),
        dumpable_(posix::prctl(PR_GET_DUMPABLE, 0UL, 0UL, 0UL, 0UL)) {
    posix::getrlimit(RLIMIT_CORE, &core_);
  }
  ~Rollback() {
    if (succeeded_) return;
    close_lifetime();
    environment_.put_back();
    if (!impl_.resources.heir) impl_.resources.close_status();
    impl_.resources.remove_pidfile();  // before `uninstall` lets a signal end the process
    impl_.signals.uninstall();
    limits_.put_back();
    posix::umask(umask_);
    static_cast<void>(posix::setrlimit(RLIMIT_CORE, &core_));
    // A process that has changed its user stays undumpable: the new user must not read its memory.
    const bool is_another = impl_.plan.identity && impl_.plan.identity->assumed;
    if (!is_another) posix::prctl(PR_SET_DUMPABLE, static_cast<unsigned long>(dumpable_), 0UL, 0UL, 0UL);
    if (impl_.resources.left_root) return;  // the former directory is a way out of the new root
    [[maybe_unused]] const int result = posix::fchdir(directory_.get());
  }
  Rollback(const Rollback&) = delete;
  Rollback& operator=(const Rollback&) = delete;

  void success() noexcept { succeeded_ = true; }

 private:
  Impl& impl_;
  FormerEnvironment environment_;
  UniqueFd directory_;
  posix::LimitsBackup limits_;
  mode_t umask_;
  int dumpable_;
  rlimit core_{};
  bool succeeded_ = false;
};

void check(const Impl& impl, const std::optional<FailedStep>& failure) {
  if (failure) throw impl.plan.error_of(failure->step, failure->error, impl.refusal);
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
  StatusPipe pipe = create_status_pipe();
  impl.resources.status = std::move(pipe.writer);
  std::optional<StartOutcome> failed;
  try {
    failed = monitor.supervise(&pipe.reader);
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
  if (record) adopt_predecessor(*impl, std::move(*record));
  impl->upgrade.note_program(impl->plan.signal_map());
  check_threads(*impl);
  fill_standard_descriptors();
  adopt_manager(*impl, surroundings);
  if (launch.mode == LaunchMode::init) leave_process_1();
  look_up_user_or_tell(*impl);
  std::optional<Monitor> monitor;
  if (impl->plan.is_supervised()) monitor.emplace(impl->monitor_resources());
  // Block signals until everything that the start has made is used, or removed again.
  posix::SignalBlock blocked;
  try {
    Ticker ticker(impl->plan.options.start_options.on_wait);
    create_directories_and_lock_pidfile(*impl, ticker, blocked.former());
    impl->resources.directories.give_owner_and_mode();
    open_sockets(*impl);
    prepare_restrictions(impl->plan.options);
    open_stdio(*impl);
    if (impl->plan.detaches() && impl->resources.heir) stay_detached(*impl, blocked);
    else if (impl->plan.detaches()) detach(*impl, ticker, blocked);
    else if (monitor) supervise_in_foreground(*impl, *monitor, blocked);
    else stay_in_foreground(*impl, blocked);
  } catch (...) {
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
