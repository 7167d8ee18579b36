// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <atomic>

namespace daemonctx::process {

/// Which pidfile this process claims, and how many pidfiles it has open to read. Closing a second descriptor
/// of the claimed file would drop its locks (fcntl(2)), so that every reader asks here first. The pid tells
/// the claimant from a child that has inherited the memory, but not the locks.
struct PidfileClaim {
  std::atomic<pid_t> pid = 0;
  std::atomic<dev_t> device = 0;
  std::atomic<ino_t> inode = 0;
  std::atomic<bool> ready = false;
  std::atomic<pid_t> worker = 0;  ///< the process that is a worker of `pid`
  std::atomic<int> open_readers = 0;
};

extern constinit PidfileClaim pidfile_claim;

/// For a process that was just forked: the threads that read are not there.
inline void forget_open_readers() noexcept { pidfile_claim.open_readers = 0; }

}  // namespace daemonctx::process
