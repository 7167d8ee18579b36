// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <atomic>

#include "base/deadline.hpp"

namespace daemonctx::process {

/// The gate before the one context of a process. Every public member asks the gate before it reads the
/// object: the object's memory may be freed, the gate's never is. All functions here are thread-safe.

/// Admits one context at a time: from before its start until `close_context`, or until the claim is dropped.
class ContextClaim {
 public:
  /// \throws std::logic_error if there is a context; std::bad_alloc
  ContextClaim();
  ~ContextClaim();
  ContextClaim(const ContextClaim&) = delete;
  ContextClaim& operator=(const ContextClaim&) = delete;
  void keep() noexcept { kept_ = true; }

 private:
  bool kept_ = false;
};

/// Facts that a context tells even after its end, and in a forked child.
struct ContextFacts {
  int mode = 0;
  pid_t pid = 0;
  unsigned worker_number = 0;
};

/// Opens the gate. \param context the object whose members ask; \param state the data that they use.
void open_context(const void* context, void* state, const ContextFacts& facts) noexcept;

/// Closes the gate: every member finds the context ended. Waits at most `limit` until no other thread is
/// inside a member, so that `state` may be freed.
/// \param is_in_use true if a thread outside of every member still uses `state`.
/// \return false if `state` has to stay, since a thread uses it. This thread counts, too, if it is inside a
///   member.
bool close_context(Timeout limit, bool is_in_use = false) noexcept;

/// True if `context` is the open context, and this process is its owner.
bool is_open(const void* context) noexcept;

/// The facts of the last context, if it was opened at this address; else all zero.
ContextFacts facts_of(const void* context) noexcept;

/// Drops the context in a child that user code forked: it belongs to the parent.
void leave_context_to_parent() noexcept;

/// Names the context that is open in this process. Exit and terminate handlers use it.
struct AnyContext {};
inline constexpr AnyContext any_context;

/// A call of a public member. The state of the context is not freed during a visit.
class Visit {
 public:
  explicit Visit(const void* context) noexcept;
  explicit Visit(AnyContext) noexcept;
  /// \param life the context's own `life()`, for handles that may outlive it.
  Visit(const void* context, unsigned life) noexcept;
  ~Visit();
  Visit(const Visit&) = delete;
  Visit& operator=(const Visit&) = delete;

  /// False if the context has ended, or in a forked child. The member then does nothing.
  explicit operator bool() const noexcept { return state_ != nullptr; }
  void* state() const noexcept { return state_; }

 private:
  void enter(const void* context) noexcept;
  void leave_again() noexcept;

  void* state_ = nullptr;
  unsigned generation_;
};

/// Ends the visits of this thread: in std::exit or std::terminate it will never return from them.
void forget_visits_of_this_thread() noexcept;

}  // namespace daemonctx::process
