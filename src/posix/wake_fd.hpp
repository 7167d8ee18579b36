// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>
#include <system_error>

#include "posix/unique_fd.hpp"

namespace daemonctx::posix {

/// A descriptor that `notify` makes readable: an eventfd(2), or a pipe where eventfd(2) is missing. It stays
/// open until `close`. It is constant-initialised and trivially destructible, so that a signal handler may
/// use it at any time.
class LastingWakeFd {
 public:
  constexpr LastingWakeFd() noexcept = default;
  LastingWakeFd(const LastingWakeFd&) = delete;
  LastingWakeFd& operator=(const LastingWakeFd&) = delete;
  ~LastingWakeFd() = default;

  /// \return 0 or an errno. \note Runs in the daemon before it may allocate.
  int open() noexcept;
  void close() noexcept;

  /// Async-signal-safe and thread-safe. Any number of calls before a `drain` count as one. Does nothing while
  /// closed.
  void notify() const noexcept { notify(writer()); }
  /// Like `notify()`, by the number from `writer()`. Does nothing if it is negative.
  static void notify(int writer) noexcept;
  void drain() const noexcept;

  int fd() const noexcept { return read_; }
  int writer() const noexcept { return write_; }

 private:
  std::atomic<int> read_ = -1;
  std::atomic<int> write_ = -1;  // equal to `read_`, except for a pipe
};

/// A `LastingWakeFd` that the destructor closes.
class WakeFd final : public LastingWakeFd {
 public:
  WakeFd() noexcept = default;
  ~WakeFd() { close(); }
  WakeFd(const WakeFd&) = delete;
  WakeFd& operator=(const WakeFd&) = delete;
};

}  // namespace daemonctx::posix
