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

  /// The descriptor that shows others that this process was told to stop, or -1; and the function for it,
  /// which is async-signal-safe.
  std::atomic<int> shows_stop = -1;
  std::atomic<void (*)(int fd, bool leaves) noexcept> show_stop = nullptr;
};

extern constinit PidfileClaim pidfile_claim;

/// Shows other starts that this process leaves, or that it stays after all. Async-signal-safe. (A handler
/// that is cut off in here while another thread closes the pidfile could lock a byte of another file. Nobody
/// else uses that byte, and the file's next close unlocks it.)
inline void show_stop(bool leaves = true) noexcept {
  const auto show = pidfile_claim.show_stop.load();
  const int fd = pidfile_claim.shows_stop;
  const bool is_claimant = fd != -1 && pidfile_claim.pid == posix::getpid();
  if (is_claimant && show != nullptr) show(fd, leaves);
}

/// Call it in a process that was just forked: the reading threads are not there.
inline void forget_open_readers() noexcept { pidfile_claim.open_readers = 0; }

}  // namespace daemonctx::process
