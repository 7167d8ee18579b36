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

/// Whether an upgrade that began after `before` was read has made another process the service. Waits up to
/// 2 s for a process that is just taking the locks.
bool has_successor(int fd, const UpgradeNotice& before);

}  // namespace daemonctx
