// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <atomic>

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
};

extern constinit PidfileClaim pidfile_claim;

/// Call it in a process that was just forked: the reading threads are not there.
inline void forget_open_readers() noexcept { pidfile_claim.open_readers = 0; }

}  // namespace daemonctx::process
