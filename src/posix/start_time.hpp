// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>

namespace daemonctx::posix {

/// The time when a process began, to a hundredth of a second. Empty where /proc does not tell.
std::optional<std::chrono::system_clock::time_point> start_time(pid_t pid) noexcept;

}  // namespace daemonctx::posix
