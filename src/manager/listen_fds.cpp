// SPDX-License-Identifier: BSL-1.0
#include "manager/listen_fds.hpp"

#include <algorithm>
#include <posix/syscalls.hpp>
#include <stdexcept>
#include <string_view>

#include "base/number.hpp"

namespace daemonctx {
namespace {

constexpr int first_descriptor = 3;
constexpr int most_descriptors = 65536;
constexpr std::size_t longest_name = 255;

int to_count(const std::string& text) {
  const auto count = to_number<int>(text);
  if (count && *count >= 0 && *count <= most_descriptors) return *count;
  throw std::runtime_error("LISTEN_FDS is \"" + text + "\", which is no number of descriptors");
}

}  // namespace

bool is_descriptor_name(std::string_view name) noexcept {
  return !name.empty() && name.size() <= longest_name &&
         std::all_of(name.begin(), name.end(),
                     [](unsigned char letter) { return letter >= ' ' && letter < 0x7f && letter != ':'; });
}

bool has_name(std::string_view names, std::string_view name) noexcept {
  while (!names.empty()) {
    if (take_word(names, ':') == name) return true;
  }
  return false;
}

std::vector<ListenDescriptor> take_over_descriptors(const std::string& count, const std::string& names) {
  std::vector<ListenDescriptor> taken;
  std::string_view rest = names;
  const int end = first_descriptor + to_count(count);
  for (int fd = first_descriptor; fd < end; ++fd) {
    const std::string_view name = take_word(rest, ':');
    if (posix::fcntl(fd, F_SETFD, FD_CLOEXEC) == -1) {
      throw std::runtime_error("LISTEN_FDS is " + count + ", but descriptor " + std::to_string(fd) +
                               " is not open");
    }
    taken.push_back({name.empty() ? "unknown" : std::string(name), fd});
  }
  return taken;
}

}  // namespace daemonctx
