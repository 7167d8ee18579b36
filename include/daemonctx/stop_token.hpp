// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <stop_token>

#include "daemonctx/export.hpp"

namespace daemonctx {

class DaemonContext;

/// A token that stops after `DaemonContext::stop_requested()` becomes true, once `wait*()`, `dispatch()` or
/// the library's thread has handled the signal. After the context's end, and in a forked child, the token
/// never stops. Thread-safe.
DAEMONCTX_EXPORT std::stop_token stop_token_of(const DaemonContext& context) noexcept;

}  // namespace daemonctx
