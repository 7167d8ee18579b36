// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <exception>
#include <string_view>

#include "daemonctx/daemon_options.hpp"

namespace daemonctx {

/// Passes an exception that no caller can catch to `DaemonOptions::on_error`. If that is empty, writes a line
/// to standard error. An error that the handler itself reports meanwhile is only written. What the handler
/// throws is dropped. Thread-safe.
void report_error(const ErrorHandler& handler, const std::exception_ptr& error,
                  std::string_view where) noexcept;

}  // namespace daemonctx
