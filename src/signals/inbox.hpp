// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <signal.h>

#include <cstdint>
#include <string>
#include <vector>

#include "process/signal_inbox.hpp"

namespace daemonctx {

using process::signal_inbox;

constexpr std::uint64_t signal_bit(int number) noexcept { return std::uint64_t{1} << (number - 1); }

/// The last values that came with the signal.
inline SignalInfo info_of(int number) noexcept {
  return signal_inbox.slots[static_cast<std::size_t>(number)].load(number);
}

/// A line for each of the held signals that are dropped.
std::vector<std::string> dropped_lines(std::uint64_t signals);

/// Whether a process with this disposition of SIGHUP ends when its terminal hangs up.
bool would_end_with_terminal() noexcept;

/// Notes the stop and ends the waits. Async-signal-safe.
void note_stop() noexcept;

/// Sets `SignalInbox::waits_end` and wakes the threads that wait for it, not those in ppoll(2).
/// Async-signal-safe.
void end_all_waits() noexcept;

/// The handler for sigaction(2): notes a signal of this process. A child made without fork handlers has this
/// handler but no dispatcher; there the signal has its default action.
void note_signal(int number, siginfo_t* info, void* context) noexcept;

}  // namespace daemonctx
