// SPDX-License-Identifier: BSL-1.0

// A start, from top to bottom: what the caller does, where the daemon comes into being, what the daemon does.

#include <algorithm>
#include <boost/filesystem/operations.hpp>
#include <cstdlib>
#include <optional>
#include <posix/syscalls.hpp>

#include "daemon_context_impl.hpp"
#include "daemon_steps.hpp"
#include "detach.hpp"
#include "flush.hpp"
#include "launch.hpp"
#include "posix/retry.hpp"
#include "posix/signals.hpp"
#include "posix/threads.hpp"
#include "unique_fd.hpp"

namespace daemonctx {
namespace {

namespace fs = boost::filesystem;
using Impl = DaemonContext::Impl;

// ---- The caller: whatever can fail before there is a second process, fails here.

fs::path resolve(const fs::path& path) {
  if (path.empty()) return path;
  boost::system::error_code error;
  const fs::path here = path.is_absolute() ? fs::path("/") : fs::current_path(error);
  if (error) {
    throw DaemonError(Step::resolve_paths, {error.value(), std::generic_category()}, path.string());
  }
  return fs::absolute(path, here);
}

StdioTarget resolve(const StdioTarget& target) {
  if (target.kind() != StdioTarget::Kind::file) return target;
  return StdioTarget::file(resolve(target.path()), target.options());
}

void resolve_paths(DaemonOptions& options) {
  options.chroot_directory = resolve(options.chroot_directory);
  // In another root directory it is that one which a path is relative to.
  options.working_directory = options.chroot_directory.empty() ? resolve(options.working_directory)
                                                               : fs::absolute(options.working_directory, "/");
  for (Directory& each : options.create_directories) each.path = resolve(each.path).lexically_normal();
  options.pidfile = resolve(options.pidfile);
  options.stdio = {resolve(options.stdio.in), resolve(options.stdio.out), resolve(options.stdio.err)};
}

void look_up_user(Impl& impl) {
  const DaemonOptions& options = impl.options;
  if (options.user.empty() && options.group.empty()) {
    if (posix::is_elevated()) impl.identity = posix::unelevated();
    return;
  }
  impl.identity.emplace();
  const std::string wrong = posix::look_up(options.user, options.group, options.initgroups, *impl.identity);
  if (wrong.empty()) return;
  throw DaemonError(Step::look_up_user, std::make_error_code(std::errc::invalid_argument),
                    options.user.empty() ? options.group : options.user, wrong);
}

void check_threads(const Impl& impl) {
  const long threads = posix::count_threads();
  const DaemonOptions& options = impl.options;
  if (options.allow_threads || threads <= 1) return;
  if (!impl.detaches() && !options.no_new_privileges && options.restrictions.empty()) return;
  if (!impl.detaches()) {
    throw DaemonError(Step::check_threads, std::make_error_code(std::errc::operation_not_permitted), {},
                      "cannot restrict the process: " + std::to_string(threads) +
                          " threads run, and restrictions hold for one (start them after the context was "
                          "constructed, or set allow_threads)");
  }
  throw DaemonError(Step::check_threads, std::make_error_code(std::errc::operation_not_permitted), {},
                    "cannot detach: " + std::to_string(threads) +
                        " threads run, and a fork keeps only one of them (start them after the context was "
                        "constructed, or set allow_threads)");
}

void create_directories(Impl& impl) {
  impl.directories.make(impl.options.create_directories, impl.options.user, impl.options.group);
}

void prepare_restrictions(const DaemonOptions& options) {
  for (const auto& each : options.restrictions) {
    try {
      each->prepare(options);
    } catch (...) {
      throw DaemonError(
          Step::prepare_restrictions, std::make_error_code(std::errc::invalid_argument), each->name(),
          std::string("cannot prepare the ") + each->name() + ": " + describe(std::current_exception()));
    }
  }
}

void open_stdio(Impl& impl) { impl.redirection = Redirection::open(impl.options.stdio, impl.detaches()); }

void lock_pidfile(Impl& impl, Ticker& ticker, const sigset_t& waiting_mask) {
  if (impl.options.pidfile.empty()) return;
  const fs::path& path = impl.options.pidfile;
  impl.pidfile =
      Pidfile::lock(path, impl.options.pidfile_mode, impl.options.lock_timeout, ticker, &waiting_mask);
  if (!impl.redirection.leads_to(impl.pidfile.fd())) return;
  // Whatever its name there. Closed after the redirection it would take the daemon's locks along.
  throw DaemonError(Step::open_stdio, std::make_error_code(std::errc::invalid_argument), path.string(),
                    "cannot redirect a standard stream to \"" + path.string() + "\": it is the pidfile");
}

void list_kept_descriptors(Impl& impl, const StatusWriter& status) {
  std::vector<int>& kept = impl.kept_descriptors;
  kept = impl.options.files_preserve;
  impl.redirection.append_descriptors(kept);
  for (const auto& each : impl.options.restrictions) {
    for (const int fd : each->descriptors()) kept.push_back(fd);
  }
  kept.push_back(status.fd());
  if (impl.pidfile) kept.push_back(impl.pidfile.fd());
  if (SignalDispatcher::fd() != -1) kept.push_back(SignalDispatcher::fd());  // of an earlier context
  std::sort(kept.begin(), kept.end());
}

// Whether the daemon's user may enter it can't be known before.
void check_directory(const Impl& impl) {
  struct stat found {};
  if (!impl.options.chroot_directory.empty()) return;  // what lies inside may lie outside as well
  const fs::path& path = impl.options.working_directory;
  if (posix::stat(path.c_str(), &found) == -1 || (!S_ISDIR(found.st_mode) && (errno = ENOTDIR) != 0)) {
    throw DaemonError(Step::change_directory, posix::last_error(), path.string());
  }
}

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
  impl.manager.adopt_environment();
  set_environment(impl);
  Lifetime::open(impl);
  if (impl.options.signal_delivery == SignalDelivery::on_own_thread) impl.signals.start_thread();
  if (impl.options.readiness == Readiness::when_constructed) impl.become_ready();
  Notify::clear_environment();
}

[[noreturn]] void give_up(Impl& impl, const Failure& failure, std::string_view text = {}) noexcept {
  impl.pidfile.remove();
  impl.status.send_failure(failure.step, failure.error, text);
  posix::_exit(EXIT_FAILURE);
}

void be_daemon(Impl& impl) noexcept {
  if (const auto failure = take_detached_steps(impl)) give_up(impl, *failure, impl.refusal);
  try {
    settle(impl);
  } catch (const DaemonError& error) {
    give_up(impl, {error.step(), error.code().value()}, error.what());
  } catch (...) {
    give_up(impl, {Step::become_ready, ECANCELED}, describe(std::current_exception()));
  }
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
        umask_(posix::umask(impl.options.umask)) {}
  ~Rollback() {
    if (succeeded_) return;
    Lifetime::close();
    impl_.signals.uninstall();
    posix::umask(umask_);
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
  bool succeeded_ = false;
};

void stay_in_foreground(Impl& impl, posix::SignalBlock& blocked) {
  Rollback rollback(impl);
  if (const auto failure = take_foreground_steps(impl)) {
    const std::error_code code(failure->error, std::generic_category());
    const std::string subject = subject_of(failure->step, impl.options);
    if (impl.refusal.empty()) throw DaemonError(failure->step, code, subject);
    throw DaemonError(failure->step, code, subject, impl.refusal);
  }
  settle(impl);
  blocked.keep();  // the signal map has put its own mask in force
  rollback.success();
}

}  // namespace

void rehearse(DaemonOptions options) {
  validate(options);
  resolve_paths(options);
  const LaunchDecision launch = decide_launch(options.detach_process, Surroundings::look());
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
  const LaunchDecision launch = decide_launch(options.detach_process, Surroundings::look());
  auto impl = std::make_unique<Impl>(std::move(options), launch);
  check_threads(*impl);
  fill_standard_descriptors();
  look_up_user(*impl);
  // Until everything that the start has made is used, or taken away again.
  posix::SignalBlock blocked;
  try {
    create_directories(*impl);
    prepare_restrictions(impl->options);
    open_stdio(*impl);
    Ticker ticker(impl->options.on_wait);
    lock_pidfile(*impl, ticker, blocked.former());
    if (impl->detaches()) detach(*impl, ticker, blocked);
    else stay_in_foreground(*impl, blocked);
  } catch (...) {
    impl->pidfile.remove();
    impl->directories.undo();
    throw;
  }
  if (impl->detaches()) be_daemon(*impl);
  else impl->directories.keep();
  claim.keep();
  return impl;
}

}  // namespace daemonctx
