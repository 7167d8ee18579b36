// SPDX-License-Identifier: BSL-1.0
#include "manager/listen_fds.hpp"

#include <charconv>
#include <posix/syscalls.hpp>
#include <sstream>
#include <stdexcept>

namespace daemonctx {
namespace {

constexpr int first_descriptor = 3;
constexpr int most_descriptors = 65536;

int to_count(const std::string& text) {
  int count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error == std::errc() && end == text.data() + text.size() && count >= 0 && count <= most_descriptors) {
    return count;
  }
  throw std::runtime_error("LISTEN_FDS is \"" + text + "\", which is no number of descriptors");
}

}  // namespace

std::vector<ListenDescriptor> take_over_descriptors(const std::string& count, const std::string& names) {
  std::vector<ListenDescriptor> taken;
  std::istringstream rest(names);
  const int end = first_descriptor + to_count(count);
  for (int fd = first_descriptor; fd < end; ++fd) {
    std::string name;
    if (!std::getline(rest, name, ':') || name.empty()) name = "unknown";
    if (posix::fcntl(fd, F_SETFD, FD_CLOEXEC) == -1) {
      throw std::runtime_error("LISTEN_FDS is " + count + ", but descriptor " + std::to_string(fd) +
                               " is not open");
    }
    taken.push_back({name, fd});
  }
  return taken;
}

}  // namespace daemonctx
