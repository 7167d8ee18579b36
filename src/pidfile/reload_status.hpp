// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

namespace daemonctx {

/// What a daemon lets others know of its reloads, on the board behind its pidfile (pidfile/lock_board.hpp).
struct ReloadNotice {
  std::uint64_t finished = 0;  ///< how many were finished since the daemon began to offer them
  bool running = false;        ///< another one is under way
  bool refused = false;        ///< the one that finished last
  std::string text = {};       ///< why it was refused

  /// When so many are finished, at least one of them began after this notice was read.
  std::uint64_t next() const noexcept { return finished + (running ? 2 : 1); }
};

/// Show it to those who can open the pidfile; `fd` is this process's own descriptor of it. A long text is cut
/// to what the board holds. One thread at a time. \return 0 or an errno. `show_progress` is for a notice
/// whose outcome and text are shown already.
int show_progress(int fd, const ReloadNotice& notice) noexcept;
int show_outcome(int fd, const ReloadNotice& notice) noexcept;

/// What the process `author` shows; `fd` may be read-only. Empty: it offers no reload.
/// \param settled set to false if the outcome is just being written: then only the counts can be relied on.
std::optional<ReloadNotice> read_reload_notice(int fd, pid_t author, bool& settled);

}  // namespace daemonctx
