// SPDX-License-Identifier: BSL-1.0

// The end of a context, and the ways out on which no destructor runs.

#include <cstdlib>
#include <exception>
#include <future>
#include <posix/syscalls.hpp>
#include <stdexcept>

#include "context/daemon_context_impl.hpp"

namespace daemonctx {
namespace {

using Impl = DaemonContext::Impl;

std::atomic<bool> claimed = false;
std::atomic<Impl*> open_context = nullptr;
std::terminate_handler former_terminate_handler = nullptr;

// The one that libstdc++ installs would print the exception once more.
bool says_what_it_was(std::terminate_handler handler) noexcept {
#ifdef __GLIBCXX__
  return handler == &__gnu_cxx::__verbose_terminate_handler;
#else
  return false;
#endif
}

Impl* own_context() noexcept {
  Impl* impl = open_context;
  return impl != nullptr && impl->owner == posix::getpid() ? impl : nullptr;
}

// For a thread that comes too late: the one that ends the process needs no company.
[[noreturn]] void wait_for_the_end() noexcept {
  for (;;) ::pause();
}

}  // namespace

// On one thread the end may be entered again (a cleanup calls std::exit) and goes on where it was. Another thread
// waits: it would destroy under the first one's hands what that still uses. After std::exit it waits for good.
bool DaemonContext::Impl::is_first_to_end() noexcept {
  const auto here = std::this_thread::get_id();
  if (!ending.exchange(true)) {
    ending_thread = here;
    return true;
  }
  if (ending_thread != here) ended.wait(false);
  return false;
}

void DaemonContext::Impl::end(std::string_view reason, bool unwinds) noexcept {
  const bool first = is_first_to_end();
  if (ended) return;
  if (!watch) watch = std::make_unique<CleanupWatch>(options.cleanup_timeout, [this] { give_up(); });
  if (first) {
    tell_the_end(reason);
    signals.stop_thread(unwinds);
  }
  run_cleanups();
  remove_pidfile();
  signals.uninstall();
  watch.reset();
  if (!unwinds) return;
  ended = true;
  ended.notify_all();
}

void DaemonContext::Impl::tell_the_end(std::string_view reason) noexcept {
  manager.stopping();
  const std::lock_guard lock(ready_mutex);
  if (!failed && status) status.send_failure(Step::run_service, ECANCELED, reason);
  failed = true;
}

void DaemonContext::Impl::run_cleanups() noexcept {
  watch->rearm();
  while (cleanups.run_last([this](const std::exception_ptr& error) { report(error, "cleanup"); })) {
    watch->rearm();
  }
}

// On the watch's thread. The report may need what the hanging cleanup holds, so it too has its time.
void DaemonContext::Impl::give_up() noexcept {
  const auto text = "did not end within " + std::to_string(options.cleanup_timeout.count()) + " ms, given up";
  std::promise<void> reported;
  const auto done = reported.get_future();
  try {
    std::thread([&] {
      report(std::make_exception_ptr(std::runtime_error(text)), "cleanup");
      reported.set_value();
    }).detach();
    done.wait_for(options.cleanup_timeout);
  } catch (const std::system_error&) {  // no thread to be had
    static_cast<void>(0);
  }
  remove_pidfile();
  posix::_exit(EXIT_FAILURE);
}

void DaemonContext::Impl::remove_pidfile() noexcept {
  const std::lock_guard lock(pidfile_mutex);
  pidfile.remove();
}

void DaemonContext::Impl::become_inert() noexcept {
  owner = 0;
  signals.after_fork_in_child();
  pidfile.abandon();
  status.close();
  manager.forget();
  cleanups.abandon();
}

Lifetime::Claim::Claim() {
  if (claimed.exchange(true)) throw std::logic_error("a DaemonContext is already open in this process");
}

Lifetime::Claim::~Claim() {
  if (!kept_) claimed = false;
}

void Lifetime::open(Impl& impl) {
  static const int forks = ::pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
  // Each time anew: cleanups may use what was made before their context, but not before an earlier one.
  if (forks != 0 || std::atexit(at_exit) != 0) throw std::bad_alloc();
  former_terminate_handler = std::set_terminate(at_terminate);
  open_context = &impl;
}

void Lifetime::close() noexcept {
  if (open_context.exchange(nullptr) == nullptr) return;
  if (std::get_terminate() == &at_terminate) std::set_terminate(former_terminate_handler);
  claimed = false;
}

void Lifetime::at_exit() noexcept {
  if (Impl* impl = own_context()) impl->end("the daemon called exit before it was ready", false);
}

void Lifetime::at_terminate() noexcept {
  static std::atomic<bool> entered = false;
  static std::atomic<std::thread::id> entered_by;
  const std::terminate_handler former = former_terminate_handler;
  Impl* impl = own_context();
  const bool reports = impl != nullptr && !entered.exchange(true);
  if (reports) {
    entered_by = std::this_thread::get_id();
    report_termination(*impl);
  } else if (impl != nullptr && entered_by != std::this_thread::get_id()) {
    wait_for_the_end();
  }
  if (former != nullptr && !(reports && says_what_it_was(former))) former();
  std::abort();
}

void Lifetime::report_termination(Impl& impl) noexcept {
  const auto error = std::current_exception();
  const std::string what = error ? "uncaught exception: " + describe(error) : "std::terminate was called";
  if (!impl.status) impl.report(std::make_exception_ptr(std::runtime_error(what)), {});
  if (impl.owner_thread == std::this_thread::get_id()) impl.end(what, false);
  else impl.remove_pidfile();
}

void Lifetime::before_fork() noexcept {
  if (Impl* impl = own_context()) impl->signals.before_fork();
}

void Lifetime::after_fork_in_parent() noexcept {
  if (Impl* impl = own_context()) impl->signals.after_fork_in_parent();
}

void Lifetime::after_fork_in_child() noexcept {
  Impl* impl = open_context.exchange(nullptr);
  if (impl == nullptr) return;
  if (std::get_terminate() == &at_terminate) std::set_terminate(former_terminate_handler);
  claimed = false;
  impl->become_inert();
}

}  // namespace daemonctx
