// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <atomic>

#include "base/deadline.hpp"

namespace daemonctx::process {

/// The gate before the one context of a process. Every public member asks here before it reads anything of
/// its object: the memory of the gate is never freed, that of the object may be. All of it is thread-safe.

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

/// What a context tells also after its end, and in a forked child.
struct ContextFacts {
  int mode = 0;
  pid_t pid = 0;
  unsigned worker_number = 0;
};

/// \param context the object whose members ask; \param state what they use of it.
void open_context(const void* context, void* state, const ContextFacts& facts) noexcept;

/// From now on every member finds the end. Waits until no other thread is inside one, so that `state` may be
/// freed.
/// \param is_in_use whether a thread outside of every member still uses `state`.
/// \return false: `state` has to stay, since a thread uses it; this one is among them if it is inside a
///   member.
bool close_context(Timeout limit, bool is_in_use = false) noexcept;

/// Whether this is the open context, in the process that it belongs to.
bool is_open(const void* context) noexcept;

/// Of the last context that was opened at this address; else all zero.
ContextFacts facts_of(const void* context) noexcept;

/// For the fork handler, in a child of the user's: there is no context here.
void leave_context_to_parent() noexcept;

/// For exit and terminate handlers: whatever context is open in this process.
struct AnyContext {};
inline constexpr AnyContext any_context;

/// A call of a public member: as long as it lasts, the state of the context is not freed.
class Visit {
 public:
  explicit Visit(const void* context) noexcept;
  explicit Visit(AnyContext) noexcept;
  ~Visit();
  Visit(const Visit&) = delete;
  Visit& operator=(const Visit&) = delete;

  /// False: the context has ended, or this is a forked child. Then the member does nothing.
  explicit operator bool() const noexcept { return state_ != nullptr; }
  void* state() const noexcept { return state_; }

 private:
  void enter(const void* context) noexcept;

  void* state_ = nullptr;
  unsigned generation_;
};

/// Of a thread that will never return from its visits, since it is in std::exit or std::terminate.
void forget_visits_of_this_thread() noexcept;

}  // namespace daemonctx::process
