// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string_view>

#include "daemonctx/export.hpp"

namespace daemonctx {

/// Whether the daemon detaches, as `DaemonOptions::detach_process` says.
enum class DetachProcess {
  automatic,  ///< detaches unless a service manager, inetd or a container started the process
  always,
  never,
};

/// When the caller counts the start as successful.
enum class Readiness {
  when_constructed,  ///< the caller ends as soon as the constructor has done its work
  when_notified,     ///< the caller ends when the daemon calls `notify_ready()`
};

/// How a daemon runs. The mode follows from the options and from what started the process.
enum class LaunchMode {
  detached,    ///< in the background, in its own session
  foreground,  ///< in the caller's process, because `detach_process` is `never`
  managed,     ///< in the caller's process, because a service manager started it
  inetd,       ///< in the caller's process, because standard input is a connection
  init,        ///< in a child of the caller, because the caller is process 1, which reaps orphans
};

/// Why a service is to stop.
enum class StopReason {
  none,     ///< no stop is requested
  stop,     ///< a signal or a member requests it
  upgrade,  ///< a new version of the program is the service
};

/// One word: "detached", "foreground", ...
DAEMONCTX_EXPORT std::string_view to_string(LaunchMode mode) noexcept;

}  // namespace daemonctx
