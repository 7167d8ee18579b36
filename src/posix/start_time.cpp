// SPDX-License-Identifier: BSL-1.0
#include "posix/start_time.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <posix/syscalls.hpp>

#include "base/deadline.hpp"
#include "posix/proc_fs.hpp"
#include "posix/retry.hpp"
#include "posix/unique_fd.hpp"

namespace daemonctx::posix {
namespace {

using std::chrono::milliseconds;
using std::chrono::system_clock;

// The fields of /proc/PID/stat from the state to the start time, which is in clock ticks since the boot. The
// state follows the name in its brackets.
constexpr int fields_before_start_time = 19;

std::optional<unsigned long long> start_in_ticks(pid_t pid) noexcept {
  if (!shows_this_namespace()) return {};
  std::array<char, 32> path;
  if (std::snprintf(path.data(), path.size(), "/proc/%d/stat", static_cast<int>(pid)) < 0) return {};
  const UniqueFd file(posix::retry([&] { return posix::open(path.data(), O_RDONLY | O_CLOEXEC); }));
  std::array<char, 1024> text{};
  if (!file || posix::read(file.get(), text.data(), text.size() - 1) <= 0) return {};
  const char* at = std::strrchr(text.data(), ')');  // the name may hold anything, brackets too
  for (int field = 0; at != nullptr && field <= fields_before_start_time; ++field) {
    at = std::strchr(at + 1, ' ');
  }
  if (at == nullptr) return {};
  return std::strtoull(at, nullptr, 10);
}

}  // namespace

std::optional<system_clock::time_point> start_time(pid_t pid) noexcept {
  const auto ticks = start_in_ticks(pid);
  if (!ticks) return {};
  const auto start = milliseconds(*ticks * 1000 / static_cast<unsigned long>(::sysconf(_SC_CLK_TCK)));
  const auto now = since_boot();
  return system_clock::now() - (now - std::min(start, now));  // no process starts later, whatever /proc says
}

}  // namespace daemonctx::posix
