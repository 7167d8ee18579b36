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

int WakeFd::open() noexcept {
#if DAEMONCTX_HAVE_EVENTFD
  read_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (read_) return 0;
  if (errno != ENOSYS) return errno;
#endif
  std::array<int, 2> ends{};
  if (posix::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) == -1) return errno;
  read_.reset(ends[0]);
  write_.reset(ends[1]);
  return 0;
}

void WakeFd::close() noexcept {
  read_.reset();
  write_.reset();
}

void WakeFd::notify(int writer) noexcept {
  const std::uint64_t one = 1;
  if (writer < 0) return;
  // When it is full it is readable already, which is all that is asked. In no other way can it fail, nor should a test
  // have it so: a signal would be lost.
  [[maybe_unused]] const auto size = retry([&] { return ::write(writer, &one, sizeof one); });
}

void WakeFd::drain() const noexcept {
  std::array<std::uint64_t, 64> buffer;
  const std::size_t size = write_ ? sizeof buffer : sizeof buffer[0];
  while (retry([&] { return posix::read(read_.get(), buffer.data(), size); }) == sizeof buffer) {
  }
}

}  // namespace daemonctx::posix
