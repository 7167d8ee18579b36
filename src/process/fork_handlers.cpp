// SPDX-License-Identifier: BSL-1.0
#include "process/fork_handlers.hpp"

#include <pthread.h>

#include <array>
#include <mutex>
#include <new>
#include <posix/syscalls.hpp>

#include "process/gate.hpp"
#include "process/owner.hpp"
#include "process/pidfile_claim.hpp"
#include "process/private_fd.hpp"

#ifdef __GLIBC__
// The Linux Standard Base (Core) describes this function; no header declares it.
// NOLINTNEXTLINE(bugprone-reserved-identifier,readability-identifier-naming)
extern "C" int __register_atfork(void (*prepare)(), void (*parent)(), void (*child)(), void* lib) noexcept;
#endif

namespace daemonctx::process {
namespace {

constinit std::mutex hooks_mutex;  // taken before every other lock of the library
constinit std::array<ForkHook, static_cast<std::size_t>(ForkRank::count)> hooks = {};

// Per thread: two threads may fork at the same time.
thread_local bool forks_for_library = false;
thread_local bool leaves_locks = false;
thread_local sigset_t mask_before_fork;

ForkHook& hook_of(ForkRank rank) noexcept { return hooks[static_cast<std::size_t>(rank)]; }

// Releases the locks from the innermost to the outermost.
void release_all(void (*ForkHook::*phase)(void*) noexcept) noexcept {
  for (std::size_t rank = hooks.size(); rank-- > 0;) {
    const ForkHook& hook = hooks[rank];
    if (hook.*phase != nullptr) (hook.*phase)(hook.object);
  }
}

// The child must handle no signal before its dispositions are its own. The library's own forks block signals
// themselves.
void block_signals() noexcept {
  if (forks_for_library) return;
  sigset_t all;
  sigfillset(&all);
  posix::pthread_sigmask(SIG_SETMASK, &all, &mask_before_fork);
}

void let_signals_through() noexcept {
  if (!forks_for_library) posix::pthread_sigmask(SIG_SETMASK, &mask_before_fork, nullptr);
}

void before_fork() noexcept {
  if (leaves_locks) return;
  block_signals();
  hooks_mutex.lock();
  for (const ForkHook& hook : hooks) {
    if (hook.prepare != nullptr) hook.prepare(hook.object);
  }
}

// Puts the signal mask back even if the context has ended meanwhile.
void after_fork_in_parent() noexcept {
  if (leaves_locks) return;
  release_all(&ForkHook::in_parent);
  hooks_mutex.unlock();
  let_signals_through();
}

void after_fork_in_child() noexcept {
  if (forks_for_library) {
    become_owner();
    forget_open_readers();
    return after_fork_in_parent();
  }
  forget_owner();
  release_all(&ForkHook::in_child);
  hooks = {};
  hooks_mutex.unlock();
  close_private_descriptors();
  forget_open_readers();
  leave_context_to_parent();
  let_signals_through();
}

// glibc removes a library's pthread_atfork(3) handlers at the end of the process. If another thread is in
// fork() meanwhile, glibc finds its list shorter than before and aborts the process. Handlers without a
// library's handle stay. The link option "nodelete" keeps the library, too.
int add_fork_handlers() noexcept {
#ifdef __GLIBC__
  return ::__register_atfork(before_fork, after_fork_in_parent, after_fork_in_child, nullptr);
#else
  return ::pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
#endif
}

void lock_descriptors(void*) noexcept { lock_private_descriptors(); }
void unlock_descriptors(void*) noexcept { unlock_private_descriptors(); }

}  // namespace

ForkHookScope::ForkHookScope(ForkRank rank, const ForkHook& hook) noexcept
    : rank_(rank), object_(hook.object) {
  const std::lock_guard lock(hooks_mutex);
  hook_of(rank) = hook;
}

ForkHookScope::~ForkHookScope() {
  const std::lock_guard lock(hooks_mutex);
  if (hook_of(rank_).object == object_) hook_of(rank_) = {};
}

void register_fork_handlers() {
  static const int error = add_fork_handlers();
  if (error != 0) throw std::bad_alloc();
  const std::lock_guard lock(hooks_mutex);
  hook_of(ForkRank::descriptors) = {lock_descriptors, unlock_descriptors, unlock_descriptors, nullptr};
}

OwnFork::OwnFork(Locks locks) noexcept {
  forks_for_library = true;
  leaves_locks = locks == Locks::leave;
}

OwnFork::~OwnFork() { forks_for_library = leaves_locks = false; }

}  // namespace daemonctx::process
