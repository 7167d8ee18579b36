// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <signal.h>

#include <array>

#include "posix/wake_fd.hpp"

namespace daemonctx {

/// While it lasts, SIGINT, SIGTERM, SIGHUP and SIGQUIT are noted instead of ending or diverting the caller,
/// unless they are ignored. Afterwards the one that came last is raised. It may hit another thread than the
/// one that waits, hence the descriptor. One at a time in a process. In a child that somebody forks meanwhile
/// they have their effect.
class Interruption {
 public:
  Interruption() noexcept;
  ~Interruption();
  Interruption(const Interruption&) = delete;
  Interruption& operator=(const Interruption&) = delete;

  /// 0: none has come.
  int signal() const noexcept;

  /// Readable when one has come.
  int fd() const noexcept { return wake_.fd(); }

 private:
  static constexpr std::array<int, 4> signals = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
  std::array<struct sigaction, signals.size()> former_;
  posix::WakeFd wake_;
};

}  // namespace daemonctx
