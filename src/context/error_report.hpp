// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <exception>
#include <string>
#include <string_view>

#include "daemonctx/daemon_options.hpp"

namespace daemonctx {

/// Passes an exception that no caller can catch to `DaemonOptions::on_error`. If that is empty, writes a line
/// to standard error. An error that the handler itself reports meanwhile is only written. What the handler
/// throws is dropped. Thread-safe.
void report_error(const ErrorHandler& handler, const std::exception_ptr& error,
                  std::string_view where) noexcept;

/// The line "PROGRAM: WHERE: TEXT". Control characters in the text or the program's name become blanks.
std::string error_line(std::string_view where, const std::string& text);

/// Writes to standard error. A closed pipe raises no SIGPIPE; an error is ignored.
void write_to_stderr(const std::string& text) noexcept;

}  // namespace daemonctx
