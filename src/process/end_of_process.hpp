// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "daemonctx/timeout.hpp"

namespace daemonctx::process {

/// The end of a context, on the ways that its destructor sees and those that it does not: std::exit and
/// std::terminate. One thread runs it. Another that comes meanwhile waits for it, but not for ever. All of
/// this is thread-safe.

/// What an end does, as the context knows it. `state` is that of the gate.
struct EndHooks {
  /// Runs what is left of the end, and does not unwind. \param is_first false: this thread was at it before,
  /// and a cleanup has called std::exit.
  void (*run)(void* state, bool is_first) noexcept;

  /// This thread waits from now on for the one that runs the end, which must not wait for it.
  void (*thread_waits)(void* state) noexcept;

  /// An exception was not caught in this thread. \return whether it is the thread that made the context.
  bool (*report_termination)(void* state) noexcept;

  /// What runs takes too long: ends the process.
  void (*give_up)(void* state) noexcept;
};

/// From now on std::exit and std::terminate know the context.
/// \param patience how long one step of an end may keep another thread waiting.
/// \throws std::bad_alloc
void register_end_handlers(const EndHooks& hooks, Timeout patience);

/// Puts back the terminate handler that was there before.
void restore_terminate_handler() noexcept;

Timeout end_patience() noexcept;

/// For the gate: another context begins.
void begin_life() noexcept;

/// For the fork handler: whatever ends the parent does not end the child.
void forget_end() noexcept;

enum class EndRole {
  first,  ///< this thread runs the end
  again,  ///< it does so already
  late,   ///< another thread does, or has done
};
EndRole begin_end() noexcept;

/// Another step of the end begins: who waits for it has patience anew.
void note_end_progress() noexcept;

/// The context has ended; the process may go on.
void finish_end() noexcept;
bool has_ended() noexcept;

/// Waits until another thread has finished the end. Where that one ends the process, waits for this too; if
/// that takes longer than the patience, returns.
void await_end() noexcept;

}  // namespace daemonctx::process
