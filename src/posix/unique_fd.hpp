// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cassert>
#include <cerrno>
#include <posix/syscalls.hpp>
#include <utility>

namespace daemonctx {

/// Owns one descriptor. Reentrant.
class UniqueFd final {
 public:
  UniqueFd() noexcept = default;
  explicit UniqueFd(int fd) noexcept : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(other.release()) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    reset(other.release());
    return *this;
  }
  UniqueFd(const UniqueFd&) = delete;
  UniqueFd& operator=(const UniqueFd&) = delete;
  ~UniqueFd() { reset(); }

  int get() const noexcept { return fd_; }
  explicit operator bool() const noexcept { return fd_ >= 0; }
  [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }

  /// Closes the owned descriptor and takes `fd`. Leaves errno as it was. Never repeats close(2) after EINTR:
  /// on Linux the descriptor is gone by then, and its number may be another thread's.
  void reset(int fd = -1) noexcept {
    assert(fd < 0 || fd != fd_);
    const int old = std::exchange(fd_, fd);
    if (old < 0) return;
    const int saved = errno;
    [[maybe_unused]] const int result = posix::close(old);
    assert(result == 0 || errno != EBADF);
    errno = saved;
  }

 private:
  int fd_ = -1;
};

}  // namespace daemonctx
