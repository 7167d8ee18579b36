// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

namespace daemonctx {

/// What a daemon lets others know of its reloads, on the board behind its pidfile (posix/lock_board.hpp).
struct ReloadNotice {
  std::uint64_t finished = 0;  ///< how many were finished since the daemon began to offer them
  unsigned running = 0;        ///< how many are under way: more than one if a reload lets in the next
  bool refused = false;        ///< the one that finished last
  std::string text = {};       ///< why it was refused

  /// When so many are finished, at least one of them began after this notice was read.
  std::uint64_t next() const noexcept { return finished + running + 1; }
};

/// Shows it to those who can open the pidfile; `fd` is this process's own descriptor of it. The text is cut to
/// what the board holds. \return 0 or an errno.
int show(int fd, const ReloadNotice& notice) noexcept;

/// What the process `author` shows. Empty: it offers no reload. `fd` may be read-only.
std::optional<ReloadNotice> read_reload_notice(int fd, pid_t author);

}  // namespace daemonctx
