// SPDX-License-Identifier: BSL-1.0
#pragma once

namespace daemonctx {

/// Flushes the C output streams and std::cout, std::cerr and std::clog, so that a fork does not double their
/// text. With several threads it flushes only stdout and stderr of the C streams.
void flush_streams() noexcept;

/// Clears the states in which a failed write has left std::cout and stdout, or std::cerr, std::clog and
/// stderr: they refuse all further output. A stream that the program has muted (failbit, or no buffer) stays
/// mute. Takes no lock of a stream: a thread whose write blocks holds that lock meanwhile.
/// \return whether one of them was broken
bool revive_output() noexcept;
bool revive_error_output() noexcept;

}  // namespace daemonctx
