// SPDX-License-Identifier: BSL-1.0

// The end of a context, and the ways out on which no destructor runs.

#include <cstdlib>
#include <exception>
#include <posix/syscalls.hpp>
#include <stdexcept>

#include "cleanup_watch.hpp"
#include "daemon_context_impl.hpp"

namespace daemonctx {
namespace {

using Impl = DaemonContext::Impl;

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

}  // namespace

void DaemonContext::Impl::end(std::string_view reason) noexcept {
  if (!ending.exchange(true)) {
    manager.stopping();
    if (status) status.send_failure(Step::run_service, ECANCELED, reason);
    signals.stop_thread();
  }
  run_cleanups();
  remove_pidfile();
  signals.uninstall();
}

void DaemonContext::Impl::run_cleanups() noexcept {
  CleanupWatch watch(options.cleanup_timeout, [this] {
    remove_pidfile();
    report(std::make_exception_ptr(std::runtime_error(
               "did not end within " + std::to_string(options.cleanup_timeout.count()) + " ms, given up")),
           "cleanup");
    posix::_exit(EXIT_FAILURE);
  });
  while (cleanups.run_last([this](const std::exception_ptr& error) { report(error, "cleanup"); })) {
    watch.rearm();
  }
}

void DaemonContext::Impl::remove_pidfile() noexcept {
  const std::lock_guard lock(pidfile_mutex);
  pidfile.remove();
}

void Lifetime::refuse_second() {
  if (open_context != nullptr) throw std::logic_error("a DaemonContext is already open in this process");
}

void Lifetime::open(Impl& impl) {
  static const bool installed = [] {
    return std::atexit([] { at_exit(); }) == 0 &&
           ::pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child) == 0;
  }();
  if (!installed) throw std::bad_alloc();
  former_terminate_handler = std::set_terminate([] { at_terminate(); });
  open_context = &impl;
}

void Lifetime::close() noexcept {
  if (open_context.exchange(nullptr) != nullptr) std::set_terminate(former_terminate_handler);
}

void Lifetime::at_exit() noexcept {
  if (Impl* impl = own_context()) impl->end("the daemon called exit before it was ready");
}

void Lifetime::at_terminate() noexcept {
  static std::atomic<bool> entered = false;
  const std::terminate_handler former = former_terminate_handler;
  Impl* impl = own_context();
  if (impl != nullptr && !entered.exchange(true)) {
    const auto error = std::current_exception();
    const std::string what = error ? "uncaught exception: " + describe(error) : "std::terminate was called";
    if (!impl->status) impl->report(std::make_exception_ptr(std::runtime_error(what)), {});
    if (impl->owner_thread == std::this_thread::get_id()) impl->end(what);
    else impl->remove_pidfile();
  }
  if (former != nullptr && !says_what_it_was(former)) former();
  std::abort();
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
  impl->signals.after_fork_in_child();
  impl->pidfile.abandon();
  impl->status.close();
}

}  // namespace daemonctx
