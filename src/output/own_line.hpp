// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>
#include <string_view>

namespace daemonctx {

/// The line "PROGRAM: WHERE: TEXT". Control characters in the text or the program's name become blanks.
std::string error_line(std::string_view where, const std::string& text);

/// Writes a line of the library itself; in the journal it is an error. A closed pipe raises no SIGPIPE.
/// \return 0 or an errno.
int write_line(int fd, const std::string& line) noexcept;

}  // namespace daemonctx
