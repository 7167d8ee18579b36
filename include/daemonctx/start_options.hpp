// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <functional>

#include "daemonctx/progress.hpp"

namespace daemonctx {

/// Options that few programs need.
struct StartOptions {
  /// Whether a start forks although other threads run. These threads do not exist in the daemon, and their
  /// locks stay locked.
  bool allow_threads = false;

  /// An open descriptor, or -1 for none. When ready, the daemon writes a line end to the descriptor and
  /// closes it. This is the protocol of s6 (notification-fd) and OpenRC (notify=fd:N). With a descriptor,
  /// `DetachProcess::automatic` stays in the foreground.
  int notify_descriptor = -1;

  /// Called in the caller while it waits for a lock or for readiness. A process that it starts may be ended
  /// with those of a start that fails.
  Progress on_wait = {};

  /// Called in the caller with the daemon's pid when the daemon is ready, before the caller ends. All signals
  /// are blocked. C and C++ streams are flushed afterwards; an exception is dropped. Not called in the
  /// foreground.
  std::function<void(pid_t daemon)> on_launched = {};
};

}  // namespace daemonctx
