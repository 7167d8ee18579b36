// SPDX-License-Identifier: BSL-1.0

// The hooks by which the process's exit and terminate handlers end the open context.

#include <stdexcept>

#include <posix/syscalls.hpp>
#include "context/daemon_context_impl.hpp"
#include "process/end_of_process.hpp"
#include "process/gate.hpp"

namespace daemonctx {
namespace {

using Impl = DaemonContext::Impl;

Impl& impl_of(void* state) noexcept { return *static_cast<Impl*>(state); }

void run_end(void* state, bool is_first) noexcept {
  impl_of(state).ending.run("the daemon called exit before it was ready", is_first, false);
}

void thread_waits(void* state) noexcept { impl_of(state).signals.note_thread_waits(); }

// If another thread terminates, no cleanup runs: the context's own thread still uses what cleanups destroy.
bool report_termination(void* state) noexcept {
  Impl& impl = impl_of(state);
  const auto error = std::current_exception();
  const std::string what = error ? "uncaught exception: " + message_of(error) : "std::terminate was called";
  const bool is_told = static_cast<bool>(impl.resources.status);
  if (!is_told) impl.report(std::make_exception_ptr(std::runtime_error(what)), {});
  impl.readiness.end(what);
  const bool is_own = impl.owner_thread == std::this_thread::get_id();
  if (!is_own) impl.resources.remove_pidfile();
  return is_own;
}

void give_up(void* state) noexcept { impl_of(state).ending.give_up(); }

detail::CleanupStack& cleanups_of(void* object) noexcept {
  return *static_cast<detail::CleanupStack*>(object);
}

// The lock must be free in a forked child: one that returns from a cleanup gives back the cleanup's place.
process::ForkHook fork_hook(detail::CleanupStack& cleanups) noexcept {
  const auto unlock = [](void* object) noexcept { cleanups_of(object).unlock(); };
  return {.prepare = [](void* object) noexcept { cleanups_of(object).lock(); },
          .in_parent = unlock,
          .in_child = unlock,
          .object = &cleanups};
}

constexpr process::EndHooks end_hooks{run_end, thread_waits, report_termination, give_up};

}  // namespace

void open_lifetime(Impl& impl) {
  process::register_end_handlers(end_hooks, Ending::patience(impl.plan.options));
  impl.cleanup_forks.emplace(process::ForkRank::cleanups, fork_hook(impl.cleanups));
  process::open_context(impl.context, &impl,
                        {.mode = static_cast<int>(impl.plan.launch.mode),
                         .pid = posix::getpid(),
                         .worker_number = impl.resources.worker.number});
  impl.cleanups.set_life(process::life());
}

void close_lifetime() noexcept {
  process::restore_terminate_handler();
  static_cast<void>(process::close_context(Timeout()));
}

}  // namespace daemonctx
