// SPDX-License-Identifier: BSL-1.0
#pragma once

namespace daemonctx {

/// Writes out what C and C++ output streams hold, so that a fork does not double it. With several threads of
/// the C streams only standard output and error.
void flush_streams() noexcept;

}  // namespace daemonctx
