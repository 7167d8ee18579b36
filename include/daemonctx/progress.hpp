// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <functional>

namespace daemonctx {

/// Called every half second while something is waited for, with the time that has passed, in the thread that
/// waits: to show the user that something is going on. What it throws is dropped.
using Progress = std::function<void(std::chrono::milliseconds passed)>;

}  // namespace daemonctx
