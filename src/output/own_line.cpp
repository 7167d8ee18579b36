// SPDX-License-Identifier: BSL-1.0
#include "output/own_line.hpp"

#include <cerrno>
#include <new>
#include <posix/syscalls.hpp>

#include "base/one_line.hpp"
#include "output/journal_stream.hpp"
#include "posix/retry.hpp"
#include "posix/signals.hpp"

namespace daemonctx {
namespace {

int write_all(int fd, std::string_view text) noexcept {
  posix::NoWriteSignal scope;
  while (!text.empty()) {
    const auto size = posix::retry([&] { return posix::write(fd, text.data(), text.size()); });
    if (size <= 0) {
      const int error = size == 0 ? EIO : errno;
      scope.failed(error);
      return error;
    }
    text.remove_prefix(static_cast<std::size_t>(size));
  }
  return 0;
}

}  // namespace

std::string error_line(std::string_view where, const std::string& text) {
  std::string result = ::program_invocation_short_name;
  result += ": ";
  if (!where.empty()) result.append(where).append(": ");
  return one_line(result + text) + '\n';
}

int write_line(int fd, const std::string& line) noexcept {
  try {
    return write_all(fd, std::string(error_prefix(fd)) + line);
  } catch (const std::bad_alloc&) {
    return write_all(fd, line);
  }
}

}  // namespace daemonctx
