// SPDX-License-Identifier: BSL-1.0

// Calls every public member in forked children. test/process/test_forked_members.cpp says what must hold.
//
//   forked_members_probe --list                       the rows, one name a line
//   forked_members_probe members PIDFILE SITE ROUNDS  calls each member in a child forked at the site
//   forked_members_probe outlive PIDFILE HOOK [beside]
//                       starts a daemon whose hook leaves a child behind; `beside` a child of the caller
//
// For "members" each row is one line on standard output, "NAME TAB PID-OF-CHILD TAB PROBLEM", and the probe
// goes on when it has read a byte from standard input.

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <daemonctx/asio.hpp>
#include <daemonctx/controller.hpp>
#include <daemonctx/daemon_context.hpp>
#include <daemonctx/stop_token.hpp>
#include <fstream>
#include <functional>
#include <iostream>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using daemonctx::Cleanup;
using daemonctx::Controller;
using daemonctx::DaemonContext;
using daemonctx::DaemonOptions;
using daemonctx::StdioTarget;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr auto patience = 20s;
#else
constexpr auto patience = 5s;
#endif

const std::string mark = "from a child";  // in every text that a child tries to send
const std::array mapped_signals = {SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH};

// Nothing here is destroyed: threads and children use it until the process has ended.
struct SharedState {
  std::string pidfile;
  pid_t owner = 0;
  int reports = -1;   // the standard output that the probe began with
  int notified = -1;  // the read end of the pipe for readiness
  int result = -1;    // in a child: the pipe to its parent
  pid_t (*fork)() = ::fork;
  DaemonContext* context = nullptr;
  std::optional<Cleanup> cleanup;  // of the context
  boost::asio::io_context* loop = nullptr;
  daemonctx::AsioSignals* asio = nullptr;
};
SharedState& shared = *new SharedState;

void write_all(int fd, const std::string& text) {
  if (::write(fd, text.data(), text.size()) == -1) ::_exit(98);
}

// Every callable that the library may call calls this function. In a child none of them may run: the function
// reports the run and returns true.
bool report_run_in_child(const std::string& what) {
  if (::getpid() == shared.owner) return false;
  if (shared.result != -1) write_all(shared.result, what + " ran; ");
  return true;
}

std::string unless(bool holds, const std::string& problem) { return holds ? "" : problem + "; "; }

// --- What a child sees of itself

std::string descriptors_of_pidfile() {
  std::string found;
  DIR* list = ::opendir("/proc/self/fd");
  while (const dirent* entry = ::readdir(list)) {
    std::array<char, 4096> target{};
    const auto size = ::readlinkat(::dirfd(list), entry->d_name, target.data(), target.size());
    if (size <= 0) continue;
    const std::string path(target.data(), static_cast<std::size_t>(size));
    if (path == shared.pidfile || path == shared.pidfile + " (deleted)")
      found += std::string("holds the pidfile as ") + entry->d_name + "; ";
  }
  ::closedir(list);
  return found;
}

std::string handled_signals() {
  std::string found;
  for (const int number : mapped_signals) {
    struct sigaction current {};
    ::sigaction(number, nullptr, &current);
    if (current.sa_handler != SIG_DFL) found += "signal " + std::to_string(number) + " is handled; ";
  }
  return found;
}

std::string mask_text() {
  sigset_t mask;
  ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
  std::string text;
  for (int number = 1; number < NSIG; ++number) text += sigismember(&mask, number) == 1 ? '1' : '0';
  return text;
}

/// Replaces descriptors 1 and 2 of a child, and shows what the library has done to them.
class Output {
 public:
  Output() : fd_(::memfd_create("output", MFD_CLOEXEC)) {
    ::dup2(fd_, STDOUT_FILENO);
    ::dup2(fd_, STDERR_FILENO);
  }
  std::string changes() const {
    struct stat own {};
    ::fstat(fd_, &own);
    std::string found = unless(own.st_size == 0, "it wrote something");
    for (const int fd : {STDOUT_FILENO, STDERR_FILENO}) {
      struct stat now {};
      ::fstat(fd, &now);
      found += unless(now.st_ino == own.st_ino, "descriptor " + std::to_string(fd) + " leads elsewhere");
    }
    return found;
  }

 private:
  int fd_;
};

// _Fork() runs no fork handlers. Its child keeps descriptors and signal handlers until it executes another
// program.
std::string surroundings_of_child(const Output& output, const std::string& mask) {
  const std::string inherited = shared.fork == ::fork ? descriptors_of_pidfile() + handled_signals() : "";
  return output.changes() + inherited + unless(mask_text() == mask, "the signal mask has changed");
}

// --- The rows

struct Row {
  const char* name;  // as `nm -DC` prints it; of an inline member only up to its parameters
  std::string (*call)();
};

DaemonContext& context() { return *shared.context; }

std::string still_inert() { return unless(!context().stop_requested(), "a stop is requested"); }

DaemonOptions foreground() {
  DaemonOptions options;
  options.detach_process = daemonctx::DetachProcess::never;
  return options;
}

Controller absent() { return Controller(shared.pidfile + ".absent"); }

template <class Operation>
std::string finds_no_daemon(Operation operation) {
  try {
    operation();
  } catch (const daemonctx::ControlError& error) {
    return unless(error.code() == std::errc::no_such_process, error.what());
  }
  return "it found a daemon; ";
}
std::string found_no_daemon(const std::error_code& error) {
  return unless(error == std::errc::no_such_process, error.message());
}

// In a child a call that would send something may throw. It must not send.
template <class Operation>
std::string may_throw(Operation operation) {
  try {
    operation();
  } catch (const std::exception&) {
    return {};
  }
  return {};
}

struct Connection {
  void close() const { report_run_in_child("close()"); }
};
Connection lasting;

std::string inert(const Cleanup& cleanup) {
  return unless(!cleanup.release(), "release() is true") + unless(!cleanup.run_now(), "run_now() is true");
}

std::string open_output_again() {
  context().reopen_output();
  return still_inert();
}

class NoRestriction : public daemonctx::Restriction {
 public:
  const char* name() const noexcept override { return "nothing"; }
  void prepare(const DaemonOptions&) override {}
};

daemonctx::DaemonError some_error() {
  return {daemonctx::Step::run_service, std::make_error_code(std::errc::io_error), "subject"};
}

const std::vector<Row> context_rows = {
    {"daemonctx::DaemonContext::~DaemonContext()",
     [] {
       context().~DaemonContext();
       return std::string();
     }},
    {"daemonctx::DaemonContext::on_exit",
     [] { return inert(context().on_exit([] { report_run_in_child("a cleanup of the child"); })); }},
    {"daemonctx::DaemonContext::close_on_exit",
     [] { return inert(context().close_on_exit(lasting)) + inert(context().close_on_exit(Connection())); }},
    {"daemonctx::DaemonContext::on_reload(std::function<void ()>)",
     [] {
       context().on_reload([] { report_run_in_child("a reload"); });
       return still_inert();
     }},
    {"daemonctx::DaemonContext::notify_ready()",
     [] {
       context().notify_ready();
       return still_inert();
     }},
    {"daemonctx::DaemonContext::notify_status(std::basic_string_view<char, std::char_traits<char> >)",
     [] {
       context().notify_status(mark);
       return still_inert();
     }},
    {"daemonctx::DaemonContext::keep_alive()",
     [] {
       context().keep_alive();
       return still_inert();
     }},
    {"daemonctx::DaemonContext::manager()",
     [] {
       static_cast<void>(context().manager());
       return still_inert();
     }},
    {"daemonctx::DaemonContext::socket(std::basic_string_view<char, std::char_traits<char> >) const",
     [] { return unless(context().socket("none") == -1, "it has a socket"); }},
    {"daemonctx::DaemonContext::map_signal(int, daemonctx::SignalAction)",
     [] {
       context().map_signal(SIGUSR2, [](const daemonctx::SignalInfo&) { report_run_in_child("an action"); });
       context().map_signal(SIGUSR1, daemonctx::Action::terminate);
       return still_inert();
     }},
    {"daemonctx::DaemonContext::fail(std::basic_string_view<char, std::char_traits<char> >)",
     [] {
       context().fail(mark);
       return still_inert();
     }},
    {"daemonctx::DaemonContext::wait()",
     [] {
       context().wait();
       return still_inert();
     }},
    {"daemonctx::DaemonContext::wait_for(daemonctx::Timeout)",
     [] { return unless(context().wait_for(1h), "wait_for() is false") + still_inert(); }},
    {"daemonctx::DaemonContext::wait_until",
     [] {
       const auto later = std::chrono::steady_clock::now() + 1h;
       return unless(context().wait_until(later), "wait_until() is false") + still_inert();
     }},
    {"daemonctx::DaemonContext::stop_requested() const", [] { return still_inert(); }},
    {"daemonctx::DaemonContext::stop_reason() const",
     [] { return unless(context().stop_reason() == daemonctx::StopReason::none, "there is a reason"); }},
    {"daemonctx::DaemonContext::request_stop()",
     [] {
       context().request_stop();
       return still_inert();
     }},
    {"daemonctx::stop_token_of(daemonctx::DaemonContext const&)",
     [] { return unless(!stop_token_of(context()).stop_requested(), "the token has a stop"); }},
    {"daemonctx::DaemonContext::signal_fd() const",
     [] { return unless(context().signal_fd() == -1, "it has a descriptor"); }},
    {"daemonctx::DaemonContext::dispatch()",
     [] {
       ::raise(SIGWINCH);  // ignored by default
       context().dispatch();
       return still_inert();
     }},
    {"daemonctx::DaemonContext::reopen_output()", open_output_again},
    {"daemonctx::DaemonContext::mode() const",
     [] {
       static_cast<void>(context().mode());
       return std::string();
     }},
    {"daemonctx::DaemonContext::pid() const",
     [] { return unless(context().pid() != ::getpid(), "it is the daemon"); }},
    {"daemonctx::DaemonContext::worker_number() const",
     [] {
       static_cast<void>(context().worker_number());
       return std::string();
     }},
    {"daemonctx::DaemonContext::last_worker_end() const",
     [] { return unless(!context().last_worker_end(), "another worker ended"); }},
    {"daemonctx::DaemonContext::remember(std::basic_string_view<char, std::char_traits<char> >)",
     [] {
       context().remember(mark);
       return still_inert();
     }},
    {"daemonctx::DaemonContext::remembered[abi:cxx11]() const",
     [] { return unless(!context().remembered(), "it remembers"); }},
    {"daemonctx::DaemonContext::open_file(daemonctx::Path const&)",
     [] { return unless(context().open_file("/dev/null") == -1, "it is open"); }},
    {"daemonctx::detail::run_body(daemonctx::DaemonContext&, std::function<int (daemonctx::DaemonContext&)> "
     "const&)",
     [] {
       using daemonctx::detail::run_body;
       const int failed = run_body(context(), [](DaemonContext&) -> int { throw std::runtime_error(mark); });
       const int done = run_body(context(), [](DaemonContext&) { return 7; });
       return unless(failed == 1 && done == 7, "wrong status") + still_inert();
     }},
};

const std::vector<Row> cleanup_rows = {
    {"daemonctx::Cleanup::release() const", [] { return unless(!shared.cleanup->release(), "it is true"); }},
    {"daemonctx::Cleanup::run_now() const",
     [] { return unless(!shared.cleanup->run_now(), "it is true") + inert(Cleanup()); }},
    {"daemonctx::ScopedCleanup::finish()",
     [] {
       daemonctx::ScopedCleanup scoped = *shared.cleanup;
       scoped = daemonctx::ScopedCleanup();
       return still_inert();
     }},
    {"daemonctx::ScopedCleanup::ScopedCleanup",
     [] {
       daemonctx::ScopedCleanup scoped;
       scoped = daemonctx::ScopedCleanup(*shared.cleanup);
       return still_inert();
     }},
    {"daemonctx::ScopedCleanup::~ScopedCleanup",
     [] {
       { const daemonctx::ScopedCleanup scoped = *shared.cleanup; }
       return still_inert();
     }},
    {"daemonctx::ScopedCleanup::release",
     [] { return unless(!daemonctx::ScopedCleanup(*shared.cleanup).release(), "it is true"); }},
};

const std::vector<Row> manager_rows = {
    {"daemonctx::ServiceManager::exists() const",
     [] { return unless(!context().manager().exists(), "it can be told something"); }},
    {"daemonctx::ServiceManager::listen_descriptors() const",
     [] {
       static_cast<void>(context().manager().listen_descriptors());
       return std::string();
     }},
    {"daemonctx::ServiceManager::listen_descriptors(std::basic_string_view<char, std::char_traits<char> >) "
     "const",
     [] { return unless(context().manager().listen_descriptors("x").empty(), "there are some"); }},
    {"daemonctx::ServiceManager::extend_timeout(daemonctx::Timeout)",
     [] {
       context().manager().extend_timeout(1s);
       return std::string();
     }},
    {"daemonctx::ServiceManager::report_failure(int, std::basic_string_view<char, std::char_traits<char> >)",
     [] {
       context().manager().report_failure(EIO, mark);
       return std::string();
     }},
    {"daemonctx::ServiceManager::store(std::__cxx11::basic_string<char, std::char_traits<char>, "
     "std::allocator<char> > const&, int)",
     [] { return may_throw([] { context().manager().store("child", STDIN_FILENO); }); }},
    {"daemonctx::ServiceManager::remove_stored(std::__cxx11::basic_string<char, std::char_traits<char>, "
     "std::allocator<char> > const&)",
     [] { return may_throw([] { context().manager().remove_stored("child"); }); }},
    {"daemonctx::ServiceManager::barrier(daemonctx::Timeout)",
     [] { return may_throw([] { context().manager().barrier(1h); }); }},
    {"daemonctx::ServiceManager::watchdog_timeout() const",
     [] {
       static_cast<void>(context().manager().watchdog_timeout());
       return std::string();
     }},
};

#define STOP_POLICY "std::vector<daemonctx::StopStep, std::allocator<daemonctx::StopStep> > const&"
#define START "std::function<int (daemonctx::StopResult const&)> const&"

std::string sees_parent(const daemonctx::DaemonStatus& status) {
  using daemonctx::DaemonState;
  const bool lives = status.state == DaemonState::running || status.state == DaemonState::starting ||
                     status.state == DaemonState::stopping;
  return unless(lives, std::string("it is ") + to_string(status.state)) +
         unless(status.pid != ::getpid(), "the child is the daemon");
}

const std::vector<Row> controller_rows = {
    {"daemonctx::Controller::Controller(daemonctx::Path, std::function<void "
     "(std::chrono::duration<long, std::ratio<1l, 1000l> >)>)",
     [] {
       const Controller made(shared.pidfile, [](std::chrono::milliseconds) {});
       return std::string();
     }},
    {"daemonctx::stop_policy(daemonctx::Timeout)",
     [] { return unless(!daemonctx::stop_policy().empty(), "it is empty"); }},
    {"daemonctx::Controller::remove_stale_pidfile() const",
     [] { return unless(!Controller(shared.pidfile).remove_stale_pidfile(), "removed"); }},
    {"daemonctx::Controller::remove_stale_pidfile(std::error_code&) const",
     [] {
       std::error_code error;
       return unless(!Controller(shared.pidfile).remove_stale_pidfile(error) && !error, "removed");
     }},
    {"daemonctx::to_string[abi:cxx11](daemonctx::DaemonStatus const&, daemonctx::Path const&)",
     [] {
       return unless(to_string(daemonctx::DaemonStatus{}, shared.pidfile) == "not running", "wrong text");
     }},
    {"daemonctx::exit_code_of(daemonctx::DaemonState)",
     [] { return unless(exit_code_of(daemonctx::DaemonState::stale) == 1, "wrong code"); }},
    {"daemonctx::Controller::status() const",
     [] { return sees_parent(Controller(shared.pidfile).status()); }},
    {"daemonctx::Controller::status(std::error_code&) const",
     [] {
       std::error_code error;
       return sees_parent(Controller(shared.pidfile).status(error)) + unless(!error, error.message());
     }},
    {"daemonctx::Controller::send_signal(int) const",
     [] { return finds_no_daemon([] { absent().send_signal(SIGTERM); }); }},
    {"daemonctx::Controller::send_signal(int, std::error_code&) const",
     [] {
       std::error_code error;
       absent().send_signal(SIGTERM, error);
       return found_no_daemon(error);
     }},
    {"daemonctx::Controller::stop(" STOP_POLICY ") const",
     [] { return finds_no_daemon([] { absent().stop(); }); }},
    {"daemonctx::Controller::stop(" STOP_POLICY ", std::error_code&) const",
     [] {
       std::error_code error;
       absent().stop(daemonctx::stop_policy(), error);
       return found_no_daemon(error);
     }},
    {"daemonctx::Controller::reload(daemonctx::Timeout) const",
     [] { return finds_no_daemon([] { absent().reload(); }); }},
    {"daemonctx::Controller::reload(daemonctx::Timeout, std::error_code&) const",
     [] {
       std::error_code error;
       absent().reload(1s, error);
       return found_no_daemon(error);
     }},
    {"daemonctx::Controller::upgrade(daemonctx::UpgradeRequest const&, daemonctx::Timeout) const",
     [] { return finds_no_daemon([] { absent().upgrade(); }); }},
    {"daemonctx::Controller::upgrade(daemonctx::UpgradeRequest const&, daemonctx::Timeout, std::error_code&) "
     "const",
     [] {
       std::error_code error;
       absent().upgrade({}, 1s, error);
       return found_no_daemon(error);
     }},
    {"daemonctx::Controller::restart(" START ", " STOP_POLICY ") const",
     [] { return unless(absent().restart([](const auto&) { return 7; }) == 7, "wrong result"); }},
    {"daemonctx::Controller::restart(" START ", " STOP_POLICY ", std::error_code&) const",
     [] {
       std::error_code error;
       const auto start = [](const daemonctx::StopResult&) { return 7; };
       const int result = absent().restart(start, daemonctx::stop_policy(), error);
       return unless(result == 7 && !error, "wrong result");
     }},
    {"daemonctx::to_string(daemonctx::DaemonState)",
     [] { return unless(to_string(daemonctx::DaemonState::stale) != nullptr, "no text"); }},
};

// These members use nothing that belongs to a process. They must work in a child as anywhere else.
#define STRING "std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> > const&"
const std::vector<Row> value_rows = {
    {"daemonctx::DaemonError::DaemonError(daemonctx::Step, std::error_code, " STRING ")",
     [] { return unless(std::strlen(some_error().what()) > 0, "no text"); }},
    {"daemonctx::DaemonError::DaemonError(daemonctx::Step, std::error_code, " STRING ", " STRING ", int)",
     [] {
       const daemonctx::DaemonError error(daemonctx::Step::run_service, {}, "subject", "text", 1);
       return unless(error.what() == std::string("text"), "wrong text");
     }},
    {"daemonctx::DaemonError::~DaemonError()",
     [] { return unless(some_error().code() != std::error_code(), "-"); }},
    {"daemonctx::DaemonError::what", [] { return unless(*some_error().what() != '\0', "no text"); }},
    {"daemonctx::DaemonError::step",
     [] { return unless(some_error().step() == daemonctx::Step::run_service, "wrong step"); }},
    {"daemonctx::DaemonError::subject",
     [] { return unless(some_error().subject() == std::string("subject"), "wrong subject"); }},
    {"daemonctx::DaemonError::pid", [] { return unless(some_error().pid() == 0, "wrong pid"); }},
    {"daemonctx::ControlError::ControlError",
     [] { return unless(daemonctx::ControlError({}, "text").what() == std::string("text"), "wrong text"); }},
    {"daemonctx::ControlError::~ControlError()",
     [] { return unless(!daemonctx::ControlError({}, "text").code(), "wrong code"); }},
    {"daemonctx::ControlError::what",
     [] { return unless(daemonctx::ControlError({}, "text").what() == std::string("text"), "wrong text"); }},
    {"daemonctx::Restriction::descriptors",
     [] { return unless(NoRestriction().descriptors().empty(), "there are some"); }},
    {"daemonctx::Restriction::kept_capabilities",
     [] { return unless(NoRestriction().kept_capabilities() == 0, "there are some"); }},
    {"daemonctx::Restriction::before_change_of_user",
     [] { return unless(NoRestriction().before_change_of_user() == 0, "it fails"); }},
    {"daemonctx::Restriction::after_change_of_user",
     [] { return unless(NoRestriction().after_change_of_user() == 0, "it fails"); }},
    {"daemonctx::Restriction::apply", [] { return unless(NoRestriction().apply() == 0, "it fails"); }},
    {"daemonctx::Timeout::is_forever",
     [] { return unless(daemonctx::Timeout(daemonctx::forever).is_forever(), "not forever"); }},
    {"daemonctx::Timeout::length",
     [] { return unless(daemonctx::Timeout(1s).length() == 1s, "wrong length"); }},
    {"daemonctx::StdioTarget::null_device",
     [] {
       return unless(StdioTarget::null_device().kind() == StdioTarget::Kind::null_device, "wrong kind");
     }},
    {"daemonctx::StdioTarget::inherit",
     [] { return unless(StdioTarget::inherit().kind() == StdioTarget::Kind::inherit, "wrong kind"); }},
    {"daemonctx::StdioTarget::descriptor",
     [] { return unless(StdioTarget::descriptor(5).descriptor() == 5, "wrong descriptor"); }},
    {"daemonctx::StdioTarget::file",
     [] { return unless(StdioTarget::file("/x").path() == "/x", "wrong path"); }},
    {"daemonctx::StdioTarget::journal",
     [] { return unless(StdioTarget::journal("x").identifier() == "x", "wrong name"); }},
    {"daemonctx::StdioTarget::syslog",
     [] { return unless(StdioTarget::syslog("x").facility() == LOG_DAEMON, "wrong facility"); }},
    {"daemonctx::StdioTarget::kind",
     [] { return unless(StdioTarget().kind() == StdioTarget::Kind::automatic, "wrong kind"); }},
    {"daemonctx::StdioTarget::path", [] { return unless(StdioTarget().path().empty(), "wrong path"); }},
    {"daemonctx::StdioTarget::options",
     [] { return unless(!StdioTarget().options().truncate, "wrong option"); }},
    {"daemonctx::StdioTarget::identifier",
     [] { return unless(StdioTarget().identifier().empty(), "wrong name"); }},
    {"daemonctx::StdioTarget::facility",
     [] { return unless(StdioTarget().facility() == LOG_DAEMON, "wrong facility"); }},
    {"daemonctx::to_string(daemonctx::Step)",
     [] { return unless(!to_string(daemonctx::Step::run_service).empty(), "no text"); }},
    {"daemonctx::message_of[abi:cxx11](std::__exception_ptr::exception_ptr const&)",
     [] {
       return unless(daemonctx::message_of(std::make_exception_ptr(some_error())).size() > 1, "no text");
     }},
    {"daemonctx::to_string[abi:cxx11](daemonctx::DaemonEnd const&)",
     [] { return unless(to_string(daemonctx::DaemonEnd{}) == "exited with code 0", "wrong text"); }},
    {"daemonctx::to_string[abi:cxx11](daemonctx::WorkerEnd const&)",
     [] { return unless(!to_string(daemonctx::WorkerEnd{}).empty(), "no text"); }},
    {"daemonctx::exit_code_of(daemonctx::WorkerEnd const&)",
     [] { return unless(exit_code_of(daemonctx::WorkerEnd{.exit_code = 3}) == 3, "wrong status"); }},
    {"daemonctx::to_string(daemonctx::LaunchMode)",
     [] { return unless(to_string(daemonctx::LaunchMode::inetd) == "inetd", "wrong text"); }},
    {"daemonctx::validate(daemonctx::DaemonOptions const&)",
     [] {
       daemonctx::validate(foreground());
       return std::string();
     }},
    {"daemonctx::explain[abi:cxx11](daemonctx::DaemonOptions)",
     [] { return unless(!daemonctx::explain(foreground()).empty(), "no text"); }},
    {"daemonctx::preflight(daemonctx::DaemonOptions)",
     [] {
       daemonctx::preflight(foreground());
       return std::string();
     }},
};

// Asio requires this call in a child that goes on to use its copy of the loop.
void tell_loop_of_fork() { shared.loop->notify_fork(boost::asio::io_context::fork_child); }

const std::vector<Row> asio_rows = {
    {"daemonctx::AsioSignals::AsioSignals",
     [] {
       tell_loop_of_fork();
       return may_throw([] { daemonctx::AsioSignals(shared.loop->get_executor(), context()); });
     }},
    {"daemonctx::AsioSignals::~AsioSignals",
     [] {
       tell_loop_of_fork();
       shared.asio->~AsioSignals();
       shared.loop->poll();
       return std::string();
     }},
    {"daemonctx::AsioSignals::async_wait_stop",
     [] {
       tell_loop_of_fork();
       shared.asio->async_wait_stop([](boost::system::error_code) {});
       shared.loop->poll();
       return still_inert();
     }},
    {"daemonctx::AsioSignals::async_wait_signal",
     [] {
       tell_loop_of_fork();
       shared.asio->async_wait_signal(SIGWINCH,
                                      [](boost::system::error_code, const daemonctx::SignalInfo&) {});
       shared.loop->poll();
       return still_inert();
     }},
    {"daemonctx::AsioSignals::cancel",
     [] {
       tell_loop_of_fork();
       shared.asio->cancel();
       shared.loop->poll();
       return std::string();
     }},
};

std::vector<Row> all_rows() {
  std::vector<Row> rows;
  for (const auto* some :
       {&context_rows, &cleanup_rows, &manager_rows, &controller_rows, &value_rows, &asio_rows}) {
    rows.insert(rows.end(), some->begin(), some->end());
  }
  return rows;
}

bool is_asio(const Row& row) { return std::strstr(row.name, "AsioSignals") != nullptr; }

// --- One row in one child

struct Verdict {
  pid_t child = 0;
  std::string problem = {};
};

[[noreturn]] void run_child(const Row& row, int result, const std::string& mask) {
  shared.result = result;
  const Output output;
  std::string problem = surroundings_of_child(output, mask);
  if (!problem.empty()) problem = "before the call: " + problem;
  try {
    problem += row.call();
  } catch (const std::exception& error) {
    problem += std::string("it throws \"") + error.what() + "\"; ";
  }
  problem += surroundings_of_child(output, mask);
  write_all(result, problem + '.');
  std::exit(0);  // must run no cleanup in a child
}

// Reads the child's report until no process holds the pipe's write end. False if the child hangs.
bool read_result(int fd, std::string& text) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  pollfd readable{fd, POLLIN, 0};
  while (std::chrono::steady_clock::now() < deadline) {
    if (::poll(&readable, 1, 100) <= 0) continue;
    std::array<char, 4096> buffer{};
    const auto size = ::read(fd, buffer.data(), buffer.size());
    if (size == 0) return true;
    if (size > 0) text.append(buffer.data(), static_cast<std::size_t>(size));
  }
  return false;
}

std::string end_of(pid_t child) {
  int status = 0;
  while (::waitpid(child, &status, 0) == -1 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  return "it ended with " + std::string(WIFEXITED(status) ? "status " : "signal ") +
         std::to_string(WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status)) + "; ";
}

using Handler = void (*)(int);

Handler handler_of_sigterm() {
  struct sigaction current {};
  ::sigaction(SIGTERM, nullptr, &current);
  return current.sa_handler;
}

// The changes that a child made to its parent, as far as the parent can see them.
std::string harm_to_parent(const std::string& mask, Handler handler) {
  int size = 0;
  ::ioctl(shared.notified, FIONREAD, &size);
  std::string told(static_cast<std::size_t>(size), ' ');
  if (size > 0 && ::read(shared.notified, told.data(), told.size()) == -1) told = "unreadable";
  return unless(handler_of_sigterm() == handler, "the parent handles SIGTERM in another way") +
         unless(mask_text() == mask, "the parent's mask has changed") +
         unless(size == 0, "readiness was told");
}

Verdict call_in_child(const Row& row) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) == -1) ::_exit(97);
  const std::string mask = mask_text();
  const Handler handler = handler_of_sigterm();
  Verdict verdict;
  verdict.child = shared.fork();
  if (verdict.child == 0) run_child(row, ends[1], mask);
  ::close(ends[1]);
  std::string text;
  if (!read_result(ends[0], text)) {
    verdict.problem = "it hangs; ";
    ::kill(verdict.child, SIGKILL);
  }
  ::close(ends[0]);
  const bool done = !text.empty() && text.back() == '.';
  if (done) text.pop_back();
  verdict.problem += text + end_of(verdict.child) + harm_to_parent(mask, handler);
  return verdict;
}

// The parent's loop must still receive signals.
std::string harm_to_loop() {
  bool arrived = false;
  shared.asio->async_wait_signal(
      SIGUSR2, [&](boost::system::error_code error, const daemonctx::SignalInfo&) { arrived = !error; });
  ::kill(::getpid(), SIGUSR2);
  shared.loop->restart();
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (!arrived && std::chrono::steady_clock::now() < deadline) shared.loop->run_one_for(100ms);
  return unless(arrived, "the parent's loop hears no signal any more");
}

void await_byte() {
  char byte = 0;
  while (::read(STDIN_FILENO, &byte, 1) == -1 && errno == EINTR) {
  }
}

Verdict call_asio_in_child(const Row& row) {
  if (shared.asio == nullptr) return {};
  shared.loop->notify_fork(boost::asio::io_context::fork_prepare);
  Verdict verdict = call_in_child(row);
  shared.loop->notify_fork(boost::asio::io_context::fork_parent);
  verdict.problem += harm_to_loop();
  return verdict;
}

// A row that uses nothing of the process runs once.
bool is_about_process(const Row& row) {
  for (const auto* some : {&context_rows, &cleanup_rows, &manager_rows}) {
    for (const Row& each : *some) {
      if (each.name == row.name) return true;
    }
  }
  return false;
}

void call_all(int rounds) {
  for (const Row& row : all_rows()) {
    Verdict verdict;
    const int times = is_about_process(row) ? rounds : 1;
    for (int round = 0; round < times && verdict.problem.empty(); ++round) {
      verdict = is_asio(row) ? call_asio_in_child(row) : call_in_child(row);
    }
    write_all(shared.reports,
              std::string(row.name) + '\t' + std::to_string(verdict.child) + '\t' + verdict.problem + '\n');
    await_byte();
  }
}

// --- Where the children are forked

using RepeatedCall = void (*)();
const std::vector<RepeatedCall> repeated_calls = {
    [] { context().on_exit([] { report_run_in_child("a cleanup"); }).release(); },
    [] { context().map_signal(SIGWINCH, daemonctx::Action::ignore); },
    [] { context().on_reload([] { report_run_in_child("a reload"); }); },
    [] { ::kill(shared.owner, SIGHUP); },
    [] { context().reopen_output(); },
    [] { context().notify_ready(); },
    [] { context().notify_status("busy"); },
    [] { context().dispatch(); },
    [] { static_cast<void>(stop_token_of(context()).stop_requested()); },
};

void call_all_beside_busy_threads(int rounds) {
  std::atomic<bool> over = false;
  std::vector<std::thread> threads;
  threads.emplace_back([] { context().wait(); });
  for (const RepeatedCall call : repeated_calls) {
    threads.emplace_back([&over, call] {
      while (!over) call();
    });
  }
  call_all(rounds);
  over = true;
  context().request_stop();
  for (std::thread& thread : threads) thread.join();
}

void await_readiness() {
  char byte = 0;
  pollfd readable{shared.notified, POLLIN, 0};
  ::poll(&readable, 1, 1000);
  if (::read(shared.notified, &byte, 1) != 1 || byte != '\n')
    write_all(shared.reports, "readiness\t0\tnot told\n");
}

// The parent becomes ready before it forks a child.
void become_ready() {
  context().notify_ready();
  await_readiness();
}

DaemonOptions options_of(const std::string& site, int notify_descriptor) {
  DaemonOptions options = foreground();
  options.pidfile = shared.pidfile;
  options.stdio.out = StdioTarget::file(shared.pidfile + ".log");
  options.stdio.err = StdioTarget::file(shared.pidfile + ".log");
  options.readiness = daemonctx::Readiness::when_notified;
  options.start_options.notify_descriptor = notify_descriptor;
  options.on_error = [](const std::exception_ptr&, std::string_view) { report_run_in_child("on_error"); };
  options.signal_map[SIGUSR1] = [](const daemonctx::SignalInfo&) {};
  if (site == "own_thread") options.signal_delivery = daemonctx::SignalDelivery::on_own_thread;
  if (site == "worker") options.respawn = true;
  return options;
}

// Callbacks that run before the constructor returns, or in another process than the service.
void set_callback(DaemonOptions& options, const std::string& site) {
  const auto call = [] {
    shared.owner = ::getpid();
    call_all(1);
  };
  if (site == "before_drop") options.before_drop = call;
  if (site == "on_worker_end") {
    options.respawn = true;
    options.respawn_policy.first_delay = 1ms;
    options.respawn_policy.on_worker_end = [=](const daemonctx::WorkerEnd& end) {
      if (end.worker_number == 1) call();
    };
  }
  if (site == "on_launched") {
    options.detach_process = daemonctx::DetachProcess::always;
    options.start_options.on_launched = [=](pid_t daemon) {
      await_readiness();
      call();
      ::kill(daemon, SIGTERM);
    };
  }
}

// Makes this process the parent of the rows' children. With `respawn` this process is the worker, and its own
// parent is the monitor.
void set_up_parent(DaemonContext& context, const std::string& site) {
  shared.owner = ::getpid();
  if (site == "on_launched") return;  // the detached daemon has lost the output of the probe
  shared.cleanup = context.on_exit([] {
    if (!report_run_in_child("the parent's cleanup")) write_all(shared.reports, "cleanup\n");
  });
  context.on_reload([] { report_run_in_child("a reload"); });
  if (site == "own_thread") return;
  shared.loop = new boost::asio::io_context;
  shared.asio = new daemonctx::AsioSignals(shared.loop->get_executor(), context);
}

void call_all_at(const std::string& site, int rounds) {
  if (site == "before_drop") return;
  if (site == "on_launched") return context().notify_ready(), static_cast<void>(context().wait());
  if (context().worker_number() == 2) return context().notify_ready();
  if (site != "starting") become_ready();
  if (site == "on_worker_end") ::_exit(9);
  if (site == "unseen") shared.fork = ::_Fork;
  if (site == "starting" || site == "ready" || site == "worker" || site == "unseen") return call_all(rounds);
  if (site == "hammered") return call_all_beside_busy_threads(rounds);
  if (site == "cleanup") return static_cast<void>(context().on_exit([=] { call_all(rounds); }));
  context().map_signal(SIGUSR1, [=](const daemonctx::SignalInfo&) {
    call_all(rounds);
    context().request_stop();
  });
  ::kill(::getpid(), SIGUSR1);
  context().wait();
}

/// A context whose address is known before its constructor returns: callbacks use it.
struct EarlyContext {
  explicit EarlyContext(const DaemonOptions& options)
      : address(shared.context = &context), context(options) {}

  DaemonContext* address;
  DaemonContext context;
};

int call_members(const std::string& site, int rounds) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) == -1) return 97;
  shared.reports = ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 10);
  shared.notified = ends[0];
  DaemonOptions options = options_of(site, ends[1]);
  set_callback(options, site);
  shared.cleanup.emplace();  // a handle of no context
  EarlyContext early(options);
  set_up_parent(early.context, site);
  call_all_at(site, rounds);
  return 0;
}

// --- Children that outlive the daemon

// Writes the child's pid, and its descriptors of the pidfile, to PIDFILE.child. Then the child waits to be
// killed. It has a session of its own: a start that fails kills the daemon's process group.
[[noreturn]] void live_on() {
  ::setsid();
  const int null = ::open("/dev/null", O_RDWR);
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::dup2(null, fd);
  const std::string told = shared.pidfile + ".child";
  const std::string held = descriptors_of_pidfile();
  std::ofstream(told + ".new") << ::getpid() << '\n' << held << '\n';
  ::rename((told + ".new").c_str(), told.c_str());
  for (;;) ::pause();
}

// Returns when the child has written its file.
void leave_child_behind() {
  if (::fork() == 0) live_on();
  while (::access((shared.pidfile + ".child").c_str(), F_OK) == -1) ::poll(nullptr, 0, 1);
}

void set_hook(DaemonOptions& options, const std::string& hook) {
  if (hook == "before_drop") options.before_drop = leave_child_behind;
  if (hook == "on_launched") options.start_options.on_launched = [](pid_t) { leave_child_behind(); };
  if (hook == "on_worker_end") {
    options.respawn_policy.on_worker_end = [](const daemonctx::WorkerEnd&) { leave_child_behind(); };
  }
  if (hook == "before_drop_that_throws") {
    options.before_drop = [] {
      leave_child_behind();
      throw std::runtime_error("no luck");
    };
  }
  if (hook == "before_drop_that_dies") {
    options.before_drop = [] {
      leave_child_behind();
      ::_exit(9);
    };
  }
}

void serve(DaemonContext& context, const std::string& hook) {
  if (hook == "service") leave_child_behind();
  if (hook == "cleanup") context.on_exit(leave_child_behind);
  if (hook == "action") {
    context.map_signal(SIGUSR1, [](const daemonctx::SignalInfo&) { leave_child_behind(); });
    ::kill(::getpid(), SIGUSR1);
  }
  if (hook == "on_worker_end" && context.worker_number() == 1) ::_exit(9);
  context.wait();
}

// A child that the caller had before the start. It ends with the caller.
void fork_sibling() {
  const pid_t caller = ::getpid();
  if (::fork() != 0) return;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  while (::getppid() == caller) ::poll(nullptr, 0, 1000);
  ::_exit(0);
}

int outlive(const std::string& text) {
  const bool respawns = text.rfind("respawn:", 0) == 0;
  const std::string hook = respawns ? text.substr(8) : text;
  DaemonOptions options;
  options.pidfile = shared.pidfile;
  options.detach_process = daemonctx::DetachProcess::always;
  options.respawn = respawns;
  options.respawn_policy.first_delay = 1ms;
  set_hook(options, hook);
  DaemonContext context(options);
  serve(context, hook);
  return 0;
}

int list_rows() {
  for (const Row& row : all_rows()) std::cout << row.name << '\n';
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (words.at(0) == "--list") return list_rows();
  shared.pidfile = words.at(1);
  if (words.back() == "beside") fork_sibling();
  try {
    return words.at(0) == "members" ? call_members(words.at(2), std::stoi(words.at(3)))
                                    : outlive(words.at(2));
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
