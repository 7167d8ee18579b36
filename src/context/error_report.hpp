// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <exception>
#include <string>
#include <string_view>

#include "daemonctx/daemon_options.hpp"

namespace daemonctx {

/// Hands what was thrown where no caller can catch it to `DaemonOptions::on_error`, or writes a line to
/// standard error where that is empty. What the handler itself reports meanwhile is only written.
/// Thread-safe.
void report_error(const ErrorHandler& handler, const std::exception_ptr& error,
                  std::string_view where) noexcept;

/// "PROGRAM: WHERE: TEXT" in one line, whatever the text or the program's name has in it.
std::string error_line(std::string_view where, const std::string& text);

/// Writes to standard error; a reader that is gone is no signal.
void write_to_stderr(const std::string& text) noexcept;

}  // namespace daemonctx
