// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

namespace daemonctx {

/// What a daemon shows of its reloads, on the lock board of its pidfile (pidfile/lock_board.hpp).
struct ReloadNotice {
  std::uint64_t finished = 0;  ///< number of reloads finished since the daemon first offered them
  bool running = false;        ///< another reload is under way
  bool refused = false;        ///< the last finished reload was refused
  std::string text = {};       ///< why it was refused

  /// When `finished` reaches this number, at least one reload began after this notice was read.
  std::uint64_t next() const noexcept { return finished + (running ? 2 : 1); }
};

/// Show a notice to all processes that can open the pidfile; `fd` is this process's own descriptor of it. A
/// long text is cut to what the board holds. One thread at a time may call. `show_progress` is for a notice
/// whose outcome and text are shown already. \return 0 or an errno.
int show_progress(int fd, const ReloadNotice& notice) noexcept;
int show_outcome(int fd, const ReloadNotice& notice) noexcept;

/// Reads what the process `author` shows; `fd` may be read-only. Empty: `author` offers no reload.
/// \param settled set to false if the outcome is just being written: then only the counts are reliable.
std::optional<ReloadNotice> read_reload_notice(int fd, pid_t author, bool& settled);

}  // namespace daemonctx
