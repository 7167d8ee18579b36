// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "daemonctx/timeout.hpp"

namespace daemonctx::process {

/// The end of a context: by its destructor, or by std::exit or std::terminate, which the destructor does not
/// see. One thread runs the end. Another thread that comes meanwhile waits for it, but not for ever. All
/// functions here are thread-safe.

/// The steps of an end that the context provides. `state` is that of the gate.
struct EndHooks {
  /// Runs the rest of the end, and does not unwind. \param is_first false if this thread was running the end
  /// before, and a cleanup has called std::exit.
  void (*run)(void* state, bool is_first) noexcept;

  /// This thread waits from now on for the thread that runs the end. That thread must not wait for it.
  void (*thread_waits)(void* state) noexcept;

  /// Reports an uncaught exception of this thread. \return true in the thread that made the context.
  bool (*report_termination)(void* state) noexcept;

  /// Ends the process: a step of the end takes too long.
  void (*give_up)(void* state) noexcept;
};

/// From now on std::exit and std::terminate end the context.
/// \param patience how long one step of an end may keep another thread waiting.
/// \throws std::bad_alloc
void register_end_handlers(const EndHooks& hooks, Timeout patience);

/// Puts back the terminate handler that was there before.
void restore_terminate_handler() noexcept;

Timeout end_patience() noexcept;

/// The gate calls it when another context begins.
void begin_life() noexcept;

/// The number of the latest context. A later context may lie at the address of an earlier one.
unsigned life() noexcept;

/// Called in a forked child: the end of the parent process does not end the child.
void forget_end() noexcept;

enum class EndRole {
  first,  ///< this thread runs the end
  again,  ///< this thread runs the end already
  late,   ///< another thread runs the end, has run it, or ends the process
};
EndRole begin_end() noexcept;

/// Another step of the end begins: the patience of waiting threads begins anew.
void note_end_progress() noexcept;

/// Notes that the context has ended. The process may go on.
void finish_end() noexcept;
bool has_ended() noexcept;

/// Waits until another thread has finished the end; calls `give_up` if a step takes longer than the patience.
/// If another thread ends the process, waits for that too, but returns after the patience.
void await_end() noexcept;

/// Waits as long as `condition(object)` is true, which is asked after each step of the end. Calls `give_up`
/// if a step takes longer than the patience.
void await_end_while(bool (*condition)(const void*) noexcept, const void* object) noexcept;

}  // namespace daemonctx::process
