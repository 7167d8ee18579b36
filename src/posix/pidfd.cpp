// SPDX-License-Identifier: BSL-1.0
#include "posix/pidfd.hpp"

#include <poll.h>
#include <sys/ioctl.h>

#include <array>
#include <cerrno>
#include <cstdint>

#include "base/deadline.hpp"
#include "base/graces.hpp"

namespace daemonctx::posix {
namespace {

// PIDFD_GET_INFO of pidfd(2); the headers of older systems lack it.
struct Info {
  std::uint64_t mask;
  std::uint64_t cgroup;
  std::array<std::uint32_t, 11> ids;  // pid, thread group, parent, and eight of users
  std::int32_t wait_status;
};
static_assert(sizeof(Info) == 64, "the first version of the kernel's structure");

constexpr std::uint64_t with_exit = 8;
constexpr unsigned long get_info = _IOWR(0xff, 11, Info);

bool ask_once(const UniqueFd& pidfd, Info& info) noexcept {
  info = {};
  info.mask = with_exit;
  return posix::ioctl(pidfd.get(), get_info, &info) == 0;
}

// While the process is being reaped, the kernel answers ESRCH once. Afterwards it tells the end.
bool ask(const UniqueFd& pidfd, Info& info) noexcept {
  return ask_once(pidfd, info) || (errno == ESRCH && ask_once(pidfd, info));
}

}  // namespace

std::optional<int> wait_status_of(const UniqueFd& pidfd) noexcept {
  const auto deadline = deadline_in(graces::wait_status);
  Info info{};
  while (pidfd && ask(pidfd, info)) {
    if ((info.mask & with_exit) != 0) return info.wait_status;
    pollfd reaped{pidfd.get(), 0, 0};  // POLLHUP
    if (posix::poll(&reaped, 1, poll_timeout(deadline)) != 1 || Clock::now() >= deadline) break;
  }
  return {};
}

}  // namespace daemonctx::posix
