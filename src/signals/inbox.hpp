// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <signal.h>

#include <cstdint>

#include "process/signal_inbox.hpp"

namespace daemonctx {

using process::signal_inbox;

constexpr std::uint64_t signal_bit(int number) noexcept { return std::uint64_t{1} << (number - 1); }

/// Remembers the stop, and ends the waits. Async-signal-safe.
void note_stop() noexcept;

/// Wakes the threads that wait for `SignalInbox::waits_end` alone. Async-signal-safe.
void end_all_waits() noexcept;

/// The handler, as sigaction(2) takes it: it notes a signal of this process. A child that no fork handler has
/// seen has this handler and no dispatcher: there the signal has its default action.
void note_signal(int number, siginfo_t* info, void* context) noexcept;

}  // namespace daemonctx
