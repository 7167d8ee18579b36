// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <system_error>

#include "posix/unique_fd.hpp"

namespace daemonctx::posix {

/// A descriptor that becomes readable when somebody calls `notify`: an eventfd(2), or a pipe without it.
class WakeFd final {
 public:
  /// \return 0 or an errno. \note Runs in the daemon before it may allocate.
  int open() noexcept;
  void close() noexcept;

  /// Async-signal-safe and thread-safe. Any number of calls before a `drain` count as one.
  void notify() const noexcept { notify(writer()); }
  /// The same by the number of `writer`. A negative one is none.
  static void notify(int writer) noexcept;
  void drain() const noexcept;

  int fd() const noexcept { return read_.get(); }
  int writer() const noexcept { return write_ ? write_.get() : read_.get(); }

 private:
  UniqueFd read_;
  UniqueFd write_;  // of a pipe
};

}  // namespace daemonctx::posix
