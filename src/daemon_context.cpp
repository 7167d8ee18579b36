// SPDX-License-Identifier: BSL-1.0
#include "daemonctx/daemon_context.hpp"

#include <algorithm>
#include <cstdlib>
#include <posix/syscalls.hpp>

#include "cleanup_watch.hpp"
#include "daemon_context_impl.hpp"
#include "flush.hpp"
#include "posix/retry.hpp"

namespace daemonctx {
namespace {

SignalMap with_defaults(SignalMap given, bool detaches) {
  // insert() leaves what was given.
  given.insert({{SIGTERM, terminate}, {SIGINT, terminate}});
  // In the foreground these are the shell's: Ctrl-Z stops the service, and a read in the background must not
  // be tried again for ever, as it would be after an empty handler.
  if (detaches) given.insert({{SIGTSTP, ignore}, {SIGTTIN, ignore}, {SIGTTOU, ignore}});
  return given;
}

void write_line(const std::string& text) noexcept {
  [[maybe_unused]] const auto size =
      posix::retry([&] { return posix::write(STDERR_FILENO, text.data(), text.size()); });
}

std::string line(std::string_view where, std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  std::string result = ::program_invocation_short_name;
  result += ": ";
  if (!where.empty()) result.append(where).append(": ");
  return result + text + '\n';
}

std::exception_ptr service_error(std::string_view text) {
  return std::make_exception_ptr(DaemonError(
      Step::run_service, std::make_error_code(std::errc::operation_canceled), {}, std::string(text)));
}

// A duration too long for the clock is as good as none.
SignalDispatcher::Deadline deadline_in(std::chrono::nanoseconds duration) {
  const auto now = std::chrono::steady_clock::now();
  if (duration > std::chrono::steady_clock::time_point::max() - now) return std::nullopt;
  return now + std::max(duration, std::chrono::nanoseconds::zero());
}

}  // namespace

DaemonContext::Impl::Impl(DaemonOptions given, LaunchDecision decision)
    : options(std::move(given)),
      launch(std::move(decision)),
      signals(with_defaults(options.signal_map, detaches()),
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

void DaemonContext::Impl::become_ready() {
  const std::lock_guard lock(ready_mutex);
  if (ready) return;
  flush_streams();
  if (const int error = redirection.redirect_output()) {
    throw DaemonError(Step::redirect_stdio, {error, std::generic_category()});
  }
  if (status) {
    if (const int error = status.send_ready()) {
      throw DaemonError(Step::become_ready, {error, std::generic_category()}, {},
                        "the start was cut off: nobody waits for this daemon any more");
    }
    status.close();
  }
  ready = true;
  manager.ready(detaches() ? owner : 0);
}

void DaemonContext::Impl::fail(std::string_view text) noexcept {
  if (status) status.send_failure(Step::run_service, ECANCELED, text);
  else report(service_error(text), "service");
  manager.status(text);
  signals.request_stop();
}

void DaemonContext::Impl::reload_configuration() noexcept {
  if (!reload) return;
  manager.reloading();
  try {
    reload();
  } catch (...) {
    const auto error = std::current_exception();
    report(error, "reload");
    manager.status("reload failed: " + describe(error));
  }
  manager.ready(0);
}

void DaemonContext::Impl::reopen_output() {
  if (!ready) return;  // output still goes to the terminal
  flush_streams();
  Redirection::reopen(options.stdio);
}

void DaemonContext::Impl::report(const std::exception_ptr& error, std::string_view where) const noexcept {
  try {
    if (options.on_error) options.on_error(error, where);
    else write_line(line(where, describe(error)));
  } catch (...) {  // there is nobody else to tell
    return;
  }
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
                 : "the daemon left the scope of its context before it was ready");
  Lifetime::close();
}

void DaemonContext::on_reload(std::function<void()> reload) {
  impl_->reload = std::move(reload);
  impl_->signals.map(SIGHUP, StandardAction::reload);
}

void DaemonContext::notify_ready() { impl_->become_ready(); }

void DaemonContext::notify_status(std::string_view text) noexcept { impl_->manager.status(text); }

void DaemonContext::keep_alive() noexcept { impl_->manager.watchdog(); }

void DaemonContext::fail(std::string_view text) noexcept { impl_->fail(text); }

void DaemonContext::wait() { impl_->signals.wait_until(std::nullopt); }

bool DaemonContext::wait_for(std::chrono::nanoseconds duration) {
  return impl_->signals.wait_until(deadline_in(duration));
}

bool DaemonContext::wait_until(std::chrono::steady_clock::time_point time) {
  return impl_->signals.wait_until(time);
}

bool DaemonContext::stop_requested() const noexcept { return impl_->signals.stop_requested(); }

void DaemonContext::request_stop() noexcept { impl_->signals.request_stop(); }

std::stop_token DaemonContext::stop_token() const noexcept { return impl_->signals.stop_token(); }

int DaemonContext::signal_fd() const noexcept { return impl_->signals.fd(); }

void DaemonContext::dispatch() { impl_->signals.dispatch(); }

void DaemonContext::reopen_output() { impl_->reopen_output(); }

LaunchMode DaemonContext::mode() const noexcept { return impl_->launch.mode; }

pid_t DaemonContext::pid() const noexcept { return impl_->owner; }

int run(DaemonOptions options, const std::function<int(DaemonContext&)>& body) {
  try {
    DaemonContext context(std::move(options));
    try {
      return body(context);
    } catch (...) {
      context.fail(describe(std::current_exception()));
      return EXIT_FAILURE;
    }
  } catch (const std::exception& error) {
    write_line(line({}, error.what()));
    return EXIT_FAILURE;
  }
}

}  // namespace daemonctx
