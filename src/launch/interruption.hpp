// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <signal.h>

#include <array>

#include "posix/wake_fd.hpp"

namespace daemonctx {

/// While it lives, SIGINT, SIGTERM, SIGHUP and SIGQUIT are noted instead of ending or diverting the caller,
/// unless they are ignored. The destructor raises the signal that came last. `fd` is needed because a signal
/// may hit another thread than the waiting one. One object at a time in a process. In a child that is forked
/// meanwhile the signals have their default effect.
class Interruption {
 public:
  Interruption() noexcept;
  ~Interruption();
  Interruption(const Interruption&) = delete;
  Interruption& operator=(const Interruption&) = delete;

  /// The signal that came last; 0: none has come.
  int signal() const noexcept;

  /// Readable when a signal has come.
  int fd() const noexcept { return wake_.fd(); }

 private:
  static constexpr std::array<int, 4> signals = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
  std::array<struct sigaction, signals.size()> former_;
  posix::WakeFd wake_;
};

}  // namespace daemonctx
