// SPDX-License-Identifier: BSL-1.0
#pragma once

namespace daemonctx {

/// Flushes the C output streams and std::cout, std::cerr and std::clog, so that a fork does not double their
/// text. With several threads it flushes only stdout and stderr of the C streams.
void flush_streams() noexcept;

}  // namespace daemonctx
