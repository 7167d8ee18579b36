// SPDX-License-Identifier: BSL-1.0

// A start, from top to bottom: what the caller does, where the daemon comes into being, what the daemon does.

#include <cstdlib>
#include <optional>
#include <posix/syscalls.hpp>

#include "context/caller_steps.hpp"
#include "context/daemon_steps.hpp"
#include "launch/await_daemon.hpp"
#include "launch/detach.hpp"
#include "launch/split_process_1.hpp"
#include "posix/flush_streams.hpp"
#include "posix/retry.hpp"
#include "posix/signals.hpp"
#include "posix/unique_fd.hpp"
#include "supervise/monitor.hpp"

namespace daemonctx {
namespace {

using Impl = DaemonContext::Impl;

// What the option was that the step worked on.
std::string subject_of(Step step, const DaemonOptions& options) {
  if (step == Step::change_directory) return options.working_directory.string();
  if (step == Step::write_pidfile) return options.pidfile.string();
  if (step == Step::change_root) return options.chroot_directory.string();
  if (step == Step::change_user) return options.user.empty() ? options.group : options.user;
  return {};
}

// ---- The daemon: what is left to it when its steps (daemon_steps.cpp) are taken may allocate and throw.

void set_user_variables(const Impl& impl) {
  if (impl.options.user.empty()) return;
  // Who has no name has none of these either, and not those of whoever started him.
  const std::string& name = impl.identity->name;
  ::setenv("HOME", name.empty() ? "/" : impl.identity->home.c_str(), 1);
  for (const char* variable : {"USER", "LOGNAME"}) {
    if (name.empty()) ::unsetenv(variable);
    else ::setenv(variable, name.c_str(), 1);
  }
}

void set_environment(const Impl& impl) {
  if (impl.options.environment) {
    ::clearenv();
    for (const auto& [name, value] : *impl.options.environment) ::setenv(name.c_str(), value.c_str(), 1);
  }
  set_user_variables(impl);
}

void settle(Impl& impl) {
  impl.owner = posix::getpid();
  impl.owner_thread = std::this_thread::get_id();
  impl.exceptions_at_start = std::uncaught_exceptions();
  set_environment(impl);
  Lifetime::open(impl);
  if (impl.options.signal_delivery == SignalDelivery::on_own_thread) impl.signals.start_thread();
  if (impl.options.readiness == Readiness::when_constructed) impl.become_ready();
  Surroundings::clear_environment();
}

// Of a later worker: nobody waits for it, but there is a log.
void report_failure(const Impl& impl, const Failure& failure, std::string_view text) noexcept {
  const std::error_code code(failure.error, std::generic_category());
  const std::string subject = subject_of(failure.step, impl.options);
  const auto error = text.empty() ? DaemonError(failure.step, code, subject)
                                  : DaemonError(failure.step, code, subject, std::string(text));
  impl.report(std::make_exception_ptr(error), "worker");
}

[[noreturn]] void give_up(Impl& impl, const Failure& failure, std::string_view text = {}) noexcept {
  impl.pidfile.remove();
  if (impl.is_worker() && !impl.status) report_failure(impl, failure, text);
  else impl.status.send_failure(failure.step, failure.error, text);
  posix::_exit(EXIT_FAILURE);
}

void be_service(Impl& impl) noexcept {
  if (const auto failure = take_service_steps(impl)) give_up(impl, *failure, impl.refusal);
  try {
    settle(impl);
  } catch (const DaemonError& error) {
    give_up(impl, {error.step(), error.code().value()}, error.what());
  } catch (...) {
    give_up(impl, {Step::become_ready, ECANCELED}, describe(std::current_exception()));
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
  if (const auto failure = take_common_steps(impl)) give_up(impl, *failure);
  if (monitor) be_monitor(impl, *monitor);
  be_service(impl);
}

// ---- In between.

[[noreturn]] void leave_caller(const Impl& impl, pid_t daemon) noexcept {
  try {
    if (impl.options.on_launched) impl.options.on_launched(daemon);
  } catch (...) {  // the daemon runs, whatever the user's function makes of it
    static_cast<void>(0);
  }
  if (impl.options.on_launched) flush_streams();
  posix::_exit(EXIT_SUCCESS);
}

// Returns in the daemon.
void detach(Impl& impl, Ticker& ticker, posix::SignalBlock& blocked) {
  StatusPipe pipe = create_status_pipe();
  list_kept_descriptors(impl, pipe.writer);
  flush_streams();
  ParentScope parent;
  const pid_t intermediate = start_intermediate(pipe.writer);
  if (intermediate == 0) {
    blocked.keep();
    parent.keep();
    impl.status = std::move(pipe.writer);
    return;
  }
  if (intermediate == -1) throw DaemonError(Step::start_intermediate, posix::last_error());
  pipe.writer.close();
  Launch launch(intermediate, std::move(pipe.reader));
  Outcome outcome = launch.await(impl.options.ready_timeout, blocked.former(), ticker);
  if (outcome.kind == Outcome::Kind::ready) {
    launch.reap_intermediate();
    leave_caller(impl, outcome.daemon);
  }
  launch.take_down(outcome);
  throw to_error(outcome, subject_of(outcome.step, impl.options), impl.options.ready_timeout);
}

// Puts back what a start in the foreground has changed, unless it succeeds.
class Rollback {
 public:
  explicit Rollback(Impl& impl) noexcept
      : impl_(impl),
        directory_(posix::open(".", O_PATH | O_DIRECTORY | O_CLOEXEC)),
        umask_(posix::umask(impl.options.umask)),
        dumpable_(posix::prctl(PR_GET_DUMPABLE, 0UL, 0UL, 0UL, 0UL)) {
    posix::getrlimit(RLIMIT_CORE, &core_);
  }
  ~Rollback() {
    if (succeeded_) return;
    Lifetime::close();
    impl_.signals.uninstall();
    posix::umask(umask_);
    static_cast<void>(posix::setrlimit(RLIMIT_CORE, &core_));
    // What is in its memory is not for the user that it has become.
    const bool is_another = impl_.identity && impl_.identity->assumed;
    if (!is_another) posix::prctl(PR_SET_DUMPABLE, static_cast<unsigned long>(dumpable_), 0UL, 0UL, 0UL);
    if (impl_.left_root) return;  // the former directory is a way out of the new root
    [[maybe_unused]] const int result = posix::fchdir(directory_.get());
  }
  Rollback(const Rollback&) = delete;
  Rollback& operator=(const Rollback&) = delete;

  void success() noexcept { succeeded_ = true; }

 private:
  Impl& impl_;
  UniqueFd directory_;
  mode_t umask_;
  int dumpable_;
  rlimit core_{};
  bool succeeded_ = false;
};

void check(const Impl& impl, const std::optional<Failure>& failure) {
  if (!failure) return;
  const std::error_code code(failure->error, std::generic_category());
  const std::string subject = subject_of(failure->step, impl.options);
  if (impl.refusal.empty()) throw DaemonError(failure->step, code, subject);
  throw DaemonError(failure->step, code, subject, impl.refusal);
}

void stay_in_foreground(Impl& impl, posix::SignalBlock& blocked) {
  Rollback rollback(impl);
  check(impl, take_common_steps(impl));
  check(impl, take_service_steps(impl));
  settle(impl);
  blocked.keep();  // the signal map has put its own mask in force
  rollback.success();
}

// This process is the monitor. Returns in each worker.
void supervise_in_foreground(Impl& impl, Monitor& monitor, posix::SignalBlock& blocked) {
  Rollback rollback(impl);
  check(impl, take_common_steps(impl));
  StatusPipe pipe = create_status_pipe();
  impl.status = std::move(pipe.writer);
  std::optional<Outcome> failed;
  try {
    failed = monitor.supervise(&pipe.reader);
  } catch (const std::system_error& error) {
    throw DaemonError(Step::start_worker, error.code());
  }
  if (failed) throw to_error(*failed, subject_of(failed->step, impl.options), impl.options.ready_timeout);
  blocked.keep();
  rollback.success();
}

// The service's status there is the last that its operator sees.
void tell_manager(const Notify& manager, const std::exception_ptr& error) noexcept {
  try {
    std::rethrow_exception(error);
  } catch (const std::system_error& failure) {
    manager.failure(failure.code().value(), failure.what());
  } catch (...) {
    manager.status(describe(error));
  }
}

// With signals let through: a user database on the network may take its time.
void look_up_user_or_tell(Impl& impl) {
  try {
    look_up_user(impl);
  } catch (...) {
    tell_manager(impl.manager, std::current_exception());
    throw;
  }
}

// Where the user's own code comes before, it may make the directory.
void check_directory(Impl& impl) {
  const int error = impl.options.before_drop ? 0 : try_working_directory(impl);
  if (error == 0) return;
  throw DaemonError(Step::change_directory, {error, std::generic_category()},
                    impl.options.working_directory.string());
}

}  // namespace

void rehearse(DaemonOptions options) {
  validate(options);
  resolve_paths(options);
  add_monitor(options);
  const Surroundings surroundings = look_around(options);
  const LaunchDecision launch = decide_launch(options.detach_process, surroundings);
  Impl impl(std::move(options), launch);
  look_up_user(impl);
  check_threads(impl);
  try {
    create_directories(impl);
    prepare_restrictions(impl.options);
    open_stdio(impl);
    if (!impl.options.pidfile.empty()) Pidfile::check(impl.options.pidfile);
    check_directory(impl);
  } catch (...) {
    impl.directories.undo();
    throw;
  }
  impl.directories.undo();
}

std::unique_ptr<Impl> start(DaemonOptions options) {
  validate(options);
  Lifetime::Claim claim;
  resolve_paths(options);
  add_monitor(options);
  const Surroundings surroundings = look_around(options);
  const LaunchDecision launch = decide_launch(options.detach_process, surroundings);
  auto impl = std::make_unique<Impl>(std::move(options), launch);
  check_threads(*impl);
  fill_standard_descriptors();
  adopt_manager(*impl, surroundings);
  if (launch.mode == LaunchMode::init) leave_process_1();
  look_up_user_or_tell(*impl);
  std::optional<Monitor> monitor;
  if (impl->is_supervised()) monitor.emplace(*impl);
  // Until everything that the start has made is used, or taken away again.
  posix::SignalBlock blocked;
  try {
    create_directories(*impl);
    prepare_restrictions(impl->options);
    open_stdio(*impl);
    Ticker ticker(impl->options.on_wait);
    lock_pidfile(*impl, ticker, blocked.former());
    if (impl->detaches()) detach(*impl, ticker, blocked);
    else if (monitor) supervise_in_foreground(*impl, *monitor, blocked);
    else stay_in_foreground(*impl, blocked);
  } catch (...) {
    impl->pidfile.remove();
    impl->directories.undo();
    tell_manager(impl->manager, std::current_exception());
    throw;
  }
  if (impl->detaches()) be_daemon(*impl, monitor);
  else impl->directories.keep();
  if (monitor && !impl->detaches()) be_service(*impl);
  claim.keep();
  return impl;
}

}  // namespace daemonctx
