// SPDX-License-Identifier: BSL-1.0
#include "posix/wake_fd.hpp"

#include <array>
#include <cstdint>

#include "features.hpp"
#include "posix/retry.hpp"

#if DAEMONCTX_HAVE_EVENTFD
#include <sys/eventfd.h>
#endif

namespace daemonctx::posix {

int LastingWakeFd::open() noexcept {
#if DAEMONCTX_HAVE_EVENTFD
  const int event = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (event == -1 && errno != ENOSYS) return errno;
  if (event != -1) {
    read_ = write_ = event;
    return 0;
  }
#endif
  std::array<int, 2> ends{};
  if (posix::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) == -1) return errno;
  read_ = ends[0];
  write_ = ends[1];
  return 0;
}

void LastingWakeFd::close() noexcept {
  const UniqueFd read_end(read_.exchange(-1));
  const int writer = write_.exchange(-1);
  const UniqueFd write_end(writer == read_end.get() ? -1 : writer);
}

void LastingWakeFd::notify(int writer) noexcept {
  const std::uint64_t one = 1;
  if (writer < 0) return;
  // A full descriptor is readable already, so this error is ignored. The write cannot fail otherwise. It is
  // no `posix::write`: if a test made it fail, a signal would be lost.
  [[maybe_unused]] const auto size = retry([&] { return ::write(writer, &one, sizeof one); });
}

void LastingWakeFd::drain() const noexcept {
  std::array<std::uint64_t, 64> buffer;
  const std::size_t size = fd() != writer() ? sizeof buffer : sizeof buffer[0];
  while (retry([&] { return posix::read(fd(), buffer.data(), size); }) == sizeof buffer) {
  }
}

}  // namespace daemonctx::posix
