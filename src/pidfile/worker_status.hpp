// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <optional>

#include "daemonctx/respawn_policy.hpp"

namespace daemonctx {

/// Shows the worker on the lock board of the monitor's pidfile (pidfile/lock_board.hpp). \return 0 or an
/// errno.
int show_worker(int fd, const WorkerStatus& notice) noexcept;

/// What the process `author` shows. Empty: it is no monitor.
std::optional<WorkerStatus> read_worker_notice(int fd, pid_t author) noexcept;

}  // namespace daemonctx
