// SPDX-License-Identifier: BSL-1.0
#include "daemonctx/daemon_context.hpp"

#include <cxxabi.h>

#include <algorithm>
#include <cstdlib>
#include <posix/syscalls.hpp>

#include "base/deadline.hpp"
#include "base/one_line.hpp"
#include "context/daemon_context_impl.hpp"
#include "posix/flush_streams.hpp"
#include "posix/retry.hpp"
#include "posix/signals.hpp"
#include "supervise/worker_protocol.hpp"

namespace daemonctx {
namespace {

void write_line(std::string_view text) noexcept {
  posix::NoWriteSignal scope;
  while (!text.empty()) {
    const auto size = posix::retry([&] { return posix::write(STDERR_FILENO, text.data(), text.size()); });
    if (size == -1) scope.failed(errno);
    if (size <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(size));
  }
}

// One line, whatever the text, or the program's name, has in it.
std::string line(std::string_view where, const std::string& text) {
  std::string result = ::program_invocation_short_name;
  result += ": ";
  if (!where.empty()) result.append(where).append(": ");
  return one_line(result + text) + '\n';
}

std::exception_ptr service_error(std::string_view text) {
  return std::make_exception_ptr(DaemonError(
      Step::run_service, std::make_error_code(std::errc::operation_canceled), {}, std::string(text)));
}

// For how long a start waits for a manager that is busy.
constexpr std::chrono::seconds longest_barrier{5};

// True while this thread is in the user's handler: what that reports in turn is only written down.
thread_local bool reporting = false;

}  // namespace

SignalMap with_default_signals(SignalMap given, bool detaches) {
  // insert() leaves what was given.
  given.insert({{SIGTERM, terminate}, {SIGINT, terminate}});
  // In the foreground these are the shell's: Ctrl-Z stops the service, and a read in the background must not
  // be tried again for ever, as it would be after an empty handler.
  if (detaches) given.insert({{SIGTSTP, ignore}, {SIGTTIN, ignore}, {SIGTTOU, ignore}});
  return given;
}

DaemonContext::Impl::Impl(DaemonOptions given, LaunchDecision decision)
    : options(std::move(given)),
      launch(std::move(decision)),
      signals(with_default_signals(options.signal_map, detaches()),
              {.reload = [this] { reload_configuration(); },
               .reopen_output =
                   [this] {
                     try {
                       reopen_output();
                     } catch (...) {
                       report(std::current_exception(), "reopen output");
                     }
                   },
               .report = [this](const std::exception_ptr& error,
                                std::string_view where) { report(error, where); }}) {}

// PR_SET_PDEATHSIG speaks of the thread that forked, which is the monitor's only one. A change of user takes it away.
int DaemonContext::Impl::tie_to_monitor() const noexcept {
  if (!is_worker()) return 0;
#ifdef PR_SET_PDEATHSIG
  if (posix::prctl(PR_SET_PDEATHSIG, static_cast<unsigned long>(SIGKILL), 0UL, 0UL, 0UL) == -1) return errno;
#endif
  if (posix::getppid() != monitor) posix::_exit(EXIT_FAILURE);  // it was gone before that
  return 0;
}

void DaemonContext::Impl::become_ready() {
  const std::lock_guard lock(ready_mutex);
  if (ready) return;
  static_cast<void>(tie_to_monitor());  // the service's own set-up may have changed the user
  if (failed) {
    throw DaemonError(Step::become_ready, std::make_error_code(std::errc::operation_canceled), {},
                      "cannot become ready: the service has failed");
  }
  flush_streams();
  if (const int error = redirection.redirect_output()) {
    throw DaemonError(Step::redirect_stdio, {error, std::generic_category()});
  }
  if (const int error = pidfile && !is_worker() ? pidfile.mark_ready() : 0) {
    throw DaemonError(Step::write_pidfile, {error, std::generic_category()}, options.pidfile.string());
  }
  // Before the caller ends, which a manager takes for the service's end unless it has read who is the daemon.
  const int told = manager.ready(detaches() && !is_worker() ? owner : 0);
  if (is_worker() && told != 0) {
    throw DaemonError(Step::become_ready, {told, std::generic_category()}, {},
                      "cannot tell the monitor: " + std::generic_category().message(told));
  }
  if (detaches() || is_worker()) static_cast<void>(manager.barrier(longest_barrier));
  if (const int error = status ? status.send_ready() : 0) {
    if (is_worker()) manager.send(cut_off_message);
    throw DaemonError(Step::become_ready, {error, std::generic_category()}, {},
                      "the start was cut off: nobody waits for this daemon any more");
  }
  status.close();
  tell_readiness();
  ready = true;
}

void DaemonContext::Impl::tell_readiness() noexcept {
  const UniqueFd fd(std::exchange(options.notify_descriptor, -1));
  if (!fd) return;
  posix::NoWriteSignal scope;
  scope.failed(posix::error_of(posix::retry([&] { return posix::write(fd.get(), "\n", 1); })));
}

void DaemonContext::Impl::fail(std::string_view text) noexcept {
  bool told = false;
  {
    const std::lock_guard lock(ready_mutex);
    told = status && status.send_failure(Step::run_service, ECANCELED, text) == 0;
    failed = true;
  }
  if (!told) report(service_error(text), "service");
  manager.failure(ECANCELED, text);
  signals.request_stop();
}

// If it can't be shown, whoever waits for it sees that nothing happens; the service is none the worse.
void DaemonContext::Impl::show_reloads(int (*show)(int, const ReloadNotice&) noexcept) noexcept {
  const std::lock_guard lock(pidfile_mutex);
  if (is_worker()) return static_cast<void>(manager.send(reload_message(reload_notice)));
  if (!pidfile) return;
  static_cast<void>(show(pidfile.fd(), reload_notice));
  pidfile.touch();
}

void DaemonContext::Impl::map_signal(int number, SignalAction action) {
  signals.map(number, std::move(action));
  // Until the monitor has mapped it too, it would die of the signal.
  if (is_worker()) static_cast<void>(manager.barrier(longest_barrier, mapped_message(number)));
}

void DaemonContext::Impl::offer_reload(std::function<void()> call) {
  {
    const std::lock_guard lock(reload_mutex);
    reload = std::make_shared<const std::function<void()>>(std::move(call));
  }
  map_signal(SIGHUP, StandardAction::reload);
  const std::lock_guard lock(reload_mutex);
  if (!reload_notice.running) show_reloads(show_outcome);
}

// One at a time. Whoever is asked meanwhile, in another thread or by a reload that dispatches signals itself, does
// not wait: the one under way is followed by another.
void DaemonContext::Impl::reload_configuration() {
  {
    const std::lock_guard lock(reload_mutex);
    reloads_again = reload_notice.running;
    if (!reload || reloads_again) return;
    reload_notice.running = true;
    show_reloads(show_progress);
  }
  for (bool again = true; again;) {
    reload_once();
    const std::lock_guard lock(reload_mutex);
    again = std::exchange(reloads_again, false);
    reload_notice.running = again;
    show_reloads(show_progress);
  }
}

void DaemonContext::Impl::reload_once() {
  std::shared_ptr<const std::function<void()>> call;
  bool tells = false;
  {
    const std::scoped_lock lock(reload_mutex, ready_mutex);
    call = reload;
    tells = ready;
  }
  if (tells) manager.reloading();
  std::exception_ptr error;
  try {
    (*call)();
  } catch (const abi::__forced_unwind&) {  // the thread is cancelled, and must go on being so
    if (tells) manager.ready(0);
    {
      const std::lock_guard lock(reload_mutex);
      reloads_again = false;
    }
    finish_reload(true, "the thread was cancelled");
    throw;
  } catch (...) {
    error = std::current_exception();
    report(error, "reload");
    manager.status("reload failed: " + describe(error));
  }
  if (tells) manager.ready(0);
  finish_reload(error != nullptr, describe(error));
}

void DaemonContext::Impl::finish_reload(bool refused, std::string text) noexcept {
  const std::lock_guard lock(reload_mutex);
  reload_notice = {reload_notice.finished + 1, reloads_again, refused, std::move(text)};
  show_reloads(show_outcome);
}

void DaemonContext::Impl::reopen_output() {
  const std::lock_guard lock(ready_mutex);
  if (!ready) return;  // output still goes to the terminal
  flush_streams();
  for (const StdioTarget* target : {&options.stdio.out, &options.stdio.err}) {
    if (target->kind() != StdioTarget::Kind::file || Pidfile::own(target->path()) == Pidfile::Own::no)
      continue;
    throw DaemonError(Step::open_stdio, std::make_error_code(std::errc::invalid_argument),
                      target->path().string());
  }
  if (is_worker()) reopen_by_monitor();
  else redirection.reopen(options.stdio, pidfile.fd());
}

void DaemonContext::Impl::reopen_by_monitor() {
  WorkerConnection connection = connect_worker();
  manager.send(reopen_message, connection.monitor.get());
  connection.monitor.reset();
  const ReopenAnswer answer = await_reopen(connection.worker.get());
  if (!answer.refusal.empty()) {
    throw DaemonError(Step::open_stdio, std::make_error_code(std::errc::io_error), {}, answer.refusal);
  }
  const auto follow = [](const UniqueFd& fd, int stream) {
    if (!fd || posix::dup2(fd.get(), stream) != -1) return;
    throw DaemonError(Step::redirect_stdio, posix::last_error());
  };
  follow(answer.out, STDOUT_FILENO);
  follow(answer.err, STDERR_FILENO);
}

void DaemonContext::Impl::report(const std::exception_ptr& error, std::string_view where) const noexcept {
  const bool nested = std::exchange(reporting, true);
  try {
    if (options.on_error && !nested) options.on_error(error, where);
    else write_line(line(where, describe(error)));
  } catch (...) {  // there is nobody else to tell
    static_cast<void>(0);
  }
  reporting = nested;
}

DaemonContext::DaemonContext(DaemonOptions options)
    : impl_(start(std::move(options))), cleanups_(&impl_->cleanups) {}

DaemonContext::~DaemonContext() {
  if (impl_->owner != posix::getpid()) {
    static_cast<void>(impl_.release());  // a forked child's copy: nothing in it may be touched
    return;
  }
  impl_->end(std::uncaught_exceptions() > impl_->exceptions_at_start
                 ? "an exception left the scope of the daemon context before the daemon was ready"
                 : "the daemon left the scope of its context before it was ready",
             true);
  Lifetime::close();
}

void DaemonContext::on_reload(std::function<void()> reload) { impl_->offer_reload(std::move(reload)); }

void DaemonContext::map_signal(int number, SignalAction action) {
  validate(DaemonOptions{.signal_map = {{number, action}}});
  impl_->map_signal(number, std::move(action));
}

void DaemonContext::notify_ready() { impl_->become_ready(); }

void DaemonContext::notify_status(std::string_view text) noexcept { impl_->manager.status(text); }

void DaemonContext::keep_alive() noexcept { impl_->manager.ping(); }

ServiceManager DaemonContext::manager() noexcept { return {impl_->manager, impl_->listen_descriptors}; }

void DaemonContext::fail(std::string_view text) noexcept { impl_->fail(text); }

void DaemonContext::wait() { wait_until(posix::Clock::time_point::max()); }

bool DaemonContext::wait_for(std::chrono::nanoseconds duration) {
  return wait_until(posix::deadline_in(duration));
}

bool DaemonContext::wait_until(std::chrono::steady_clock::time_point time) {
  for (;;) {
    impl_->manager.ping_if_due();
    const auto pause_end = std::min(time, impl_->manager.next_ping());
    if (impl_->signals.wait_until(pause_end)) return true;
    if (pause_end == time) return false;
  }
}

bool DaemonContext::stop_requested() const noexcept { return impl_->signals.stop_requested(); }

void DaemonContext::request_stop() noexcept { impl_->signals.request_stop(); }

std::stop_token DaemonContext::stop_token() const noexcept { return impl_->signals.stop_token(); }

int DaemonContext::signal_fd() const noexcept { return SignalDispatcher::fd(); }

void DaemonContext::dispatch() { impl_->signals.dispatch(); }

void DaemonContext::reopen_output() { impl_->reopen_output(); }

LaunchMode DaemonContext::mode() const noexcept { return impl_->launch.mode; }

unsigned DaemonContext::incarnation() const noexcept { return std::max(impl_->incarnation, 1U); }

const std::optional<WorkerEnd>& DaemonContext::last_exit() const noexcept { return impl_->last_exit; }

pid_t DaemonContext::pid() const noexcept { return impl_->owner; }

int run(DaemonContext& context, const std::function<int(DaemonContext&)>& body) {
  try {
    return body(context);
  } catch (const abi::__forced_unwind&) {  // the thread is cancelled, and must go on being so
    throw;
  } catch (...) {
    context.fail(describe(std::current_exception()));
    return EXIT_FAILURE;
  }
}

int run(DaemonOptions options, const std::function<int(DaemonContext&)>& body) {
  try {
    DaemonContext context(std::move(options));
    return run(context, body);
  } catch (const std::exception& error) {
    write_line(line({}, error.what()));
    return EXIT_FAILURE;
  }
}

}  // namespace daemonctx
