// SPDX-License-Identifier: BSL-1.0
#include "output/journal.hpp"

#include <sys/socket.h>

#include <posix/syscalls.hpp>
#include <string_view>

#include "output/open_target.hpp"
#include "posix/retry.hpp"
#include "posix/signals.hpp"
#include "posix/unix_socket.hpp"

namespace daemonctx {

// journald's stream protocol begins with seven lines about the lines that follow.
UniqueFd open_journal(const std::string& identifier, const std::string& path) {
  UniqueFd fd = posix::connect_to(path, SOCK_STREAM);
  if (!fd || ::shutdown(fd.get(), SHUT_RD) == -1) throw cannot_open(path);
  constexpr std::string_view unit;
  constexpr int info = 6;
  constexpr int reads_priorities = 1;
  const std::string text = identifier + '\n' + std::string(unit) + '\n' + std::to_string(info) + '\n' +
                           std::to_string(reads_priorities) + "\n0\n0\n0\n";
  posix::NoWriteSignal scope;
  const auto written = posix::retry([&] { return posix::write(fd.get(), text.data(), text.size()); });
  scope.failed(posix::error_of(written));
  if (written == -1) throw cannot_open(path);
  return fd;
}

}  // namespace daemonctx
