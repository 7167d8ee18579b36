// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <functional>

#include "daemonctx/detail/chrono.hpp"

namespace daemonctx {

/// Called every half second while an operation waits, in the thread that waits, with the time that has
/// passed. Shows the user that the operation goes on. An exception is dropped.
using Progress = std::function<void(std::chrono::milliseconds passed)>;

}  // namespace daemonctx
