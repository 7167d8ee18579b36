// SPDX-License-Identifier: BSL-1.0
#pragma once

namespace daemonctx::process {

/// The order in which fork(2) takes the library's locks, the outermost first. A thread that holds a lock may
/// take only locks further down. Only a lock whose data a forked child still uses has a rank; all else is
/// inert there.
enum class ForkRank { signals, cleanups, descriptors, count };

/// The work of one part of the library around a user's fork. No hook may call user code, wait, or allocate.
struct ForkHook {
  void (*prepare)(void* object) noexcept = nullptr;  ///< before the fork: takes the lock
  void (*in_parent)(void* object) noexcept =
      nullptr;  ///< after the fork, or a fork of the library's own: gives the lock back
  void (*in_child)(void* object) noexcept = nullptr;  ///< gives the lock back, and makes the part inert
  void* object = nullptr;
};

/// Registers a hook for the length of a scope, one of each rank at a time. Thread-safe.
class ForkHookScope {
 public:
  ForkHookScope(ForkRank rank, const ForkHook& hook) noexcept;
  ~ForkHookScope();
  ForkHookScope(const ForkHookScope&) = delete;
  ForkHookScope& operator=(const ForkHookScope&) = delete;

 private:
  ForkRank rank_;
  void* object_;
};

/// Makes fork(2) run the hooks from now on (pthread_atfork(3)). Call it before any user code can fork.
/// \throws std::bad_alloc
void register_fork_handlers();

/// Within its scope a fork of this thread is the library's own: the child is not made inert, but becomes the
/// owner.
/// \pre all signals are blocked.
class OwnFork {
 public:
  enum class Locks {
    take,
    /// For a fork in a child of vfork(2) of a process with one thread: no other thread holds a lock. If the
    /// child were killed while it held one, its parent would wait for ever, since both use the same memory.
    leave,
  };
  explicit OwnFork(Locks locks = Locks::take) noexcept;
  ~OwnFork();
  OwnFork(const OwnFork&) = delete;
  OwnFork& operator=(const OwnFork&) = delete;
};

}  // namespace daemonctx::process
