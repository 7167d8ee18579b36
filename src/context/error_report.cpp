// SPDX-License-Identifier: BSL-1.0
#include "context/error_report.hpp"

#include <unistd.h>

#include <string>
#include <utility>

#include "daemonctx/error.hpp"
#include "output/own_line.hpp"

namespace daemonctx {
namespace {

thread_local bool is_in_handler = false;

}  // namespace

void report_error(const ErrorHandler& handler, const std::exception_ptr& error,
                  std::string_view where) noexcept {
  const bool is_nested = std::exchange(is_in_handler, true);
  try {
    const std::string line = handler && !is_nested ? std::string() : error_line(where, message_of(error));
    if (line.empty()) handler(error, where);
    else static_cast<void>(write_line(STDERR_FILENO, line));
  } catch (...) {  // dropped: there is no other place to report it
    static_cast<void>(0);
  }
  is_in_handler = is_nested;
}

}  // namespace daemonctx
