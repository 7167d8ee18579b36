// SPDX-License-Identifier: BSL-1.0
#include "context/error_report.hpp"

#include <cerrno>
#include <posix/syscalls.hpp>
#include <utility>

#include "base/one_line.hpp"
#include "daemonctx/error.hpp"
#include "posix/retry.hpp"
#include "posix/signals.hpp"

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
    else write_to_stderr(line);
  } catch (...) {  // dropped: there is no other place to report it
    static_cast<void>(0);
  }
  is_in_handler = is_nested;
}

std::string error_line(std::string_view where, const std::string& text) {
  std::string result = ::program_invocation_short_name;
  result += ": ";
  if (!where.empty()) result.append(where).append(": ");
  return one_line(result + text) + '\n';
}

void write_to_stderr(const std::string& text) noexcept {
  posix::NoWriteSignal scope;
  for (std::size_t at = 0; at < text.size();) {
    const auto size = posix::retry([&] { return posix::write(STDERR_FILENO, &text[at], text.size() - at); });
    if (size == -1) scope.failed(errno);
    if (size <= 0) return;
    at += static_cast<std::size_t>(size);
  }
}

}  // namespace daemonctx
