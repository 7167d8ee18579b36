// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <atomic>
#include <posix/syscalls.hpp>

namespace daemonctx::process {

/// The pidfile that this process claims, and the number of pidfiles that it has open to read. Every reader
/// asks here first: closing a second descriptor of the claimed file would drop its locks (fcntl(2)). `pid`
/// tells the claimant from a child that has inherited the memory, but not the locks.
struct PidfileClaim {
  std::atomic<pid_t> pid = 0;
  std::atomic<dev_t> device = 0;
  std::atomic<ino_t> inode = 0;
  std::atomic<bool> ready = false;
  std::atomic<pid_t> worker = 0;  ///< the process that is a worker of `pid`
  std::atomic<int> open_readers = 0;

  /// The descriptor on which this process shows that it was told to stop, or -1. The function shows it, and
  /// is async-signal-safe.
  std::atomic<int> shows_stop = -1;
  std::atomic<bool (*)(int fd, bool leaves) noexcept> show_stop = nullptr;
  std::atomic<bool> stop_is_shown =
      false;  ///< false also after a failure: the next step of the end tries again
};

extern constinit PidfileClaim pidfile_claim;

/// Shows other starts that this process leaves, or that it stays after all. Async-signal-safe. If another
/// thread closes the pidfile in the middle of this call, the call may lock byte 4 of another file, until that
/// file is closed.
inline void show_stop(bool leaves = true) noexcept {
  if (pidfile_claim.stop_is_shown == leaves) return;
  const auto show = pidfile_claim.show_stop.load();
  const int fd = pidfile_claim.shows_stop;
  const bool is_claimant = fd != -1 && pidfile_claim.pid == posix::getpid();
  if (is_claimant && show != nullptr && show(fd, leaves)) pidfile_claim.stop_is_shown = leaves;
}

/// Call it in a process that was just forked: the reading threads are not there.
inline void forget_open_readers() noexcept { pidfile_claim.open_readers = 0; }

}  // namespace daemonctx::process
