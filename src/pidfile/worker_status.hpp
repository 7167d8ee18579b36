// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>

#include "daemonctx/respawn_policy.hpp"

namespace daemonctx {

/// What a monitor shows of its worker.
struct WorkerNotice {
  unsigned number = 0;
  /// When the worker began, since boot: the time of day may be set meanwhile. Empty between two workers.
  std::optional<std::chrono::milliseconds> began = {};
  std::optional<WorkerEnd> last_end = {};
};

/// Shows the worker on the lock board of the monitor's pidfile (pidfile/lock_board.hpp). \return 0 or an
/// errno.
int show_worker(int fd, const WorkerNotice& notice) noexcept;

/// Shows that the worker gave a sign of life just now. \return 0 or an errno.
int show_sign_of_life(int fd) noexcept;

/// Reads what the process `author` shows. Empty: `author` is no monitor.
std::optional<WorkerStatus> read_worker_notice(int fd, pid_t author) noexcept;

}  // namespace daemonctx
