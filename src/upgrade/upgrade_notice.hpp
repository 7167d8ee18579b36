// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

namespace daemonctx {

/// What a service shows of its upgrades, on the lock board of its pidfile (pidfile/lock_board.hpp). The
/// successor goes on counting where its predecessor stopped.
struct UpgradeNotice {
  std::uint64_t finished = 0;  ///< upgrades done or refused
  bool running = false;        ///< another one is under way
  bool refused = false;        ///< the last one that finished was refused
  pid_t requester = 0;         ///< of the last or running one
  std::string text = {};       ///< why it was refused
};

/// Shows a notice; `fd` is this process's own descriptor of the pidfile. A long text is cut. One thread at a
/// time may call it. \return 0 or an errno.
int show_upgrade(int fd, const UpgradeNotice& notice) noexcept;

/// Reads what the process `author` shows; `fd` may be read-only. Empty: `author` does not offer upgrades, or
/// is just changing its notice.
std::optional<UpgradeNotice> read_upgrade_notice(int fd, pid_t author);

/// `UpgradeNotice::finished` alone. Empty: `author` does not offer upgrades.
std::optional<std::uint64_t> count_of_upgrades(int fd, pid_t author) noexcept;

/// The count for `has_successor`, before `author` is stopped. Empty: `author` does not offer upgrades. 0: it
/// shows nothing, but it is starting, becomes the service, or gives the pidfile to a successor.
std::optional<std::uint64_t> count_before_stop(int fd, pid_t author) noexcept;

/// Whether more upgrades than `before` have finished, so that another process is the service. Waits up to 2 s
/// for a process that is just taking the locks.
bool has_successor(int fd, std::uint64_t before) noexcept;

}  // namespace daemonctx
