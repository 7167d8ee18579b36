// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string_view>

#include "daemonctx/export.hpp"

namespace daemonctx {

/// What the options may say about it.
enum class DetachProcess {
  automatic,  ///< unless a service manager, inetd or a container started the process
  always,
  never,
};

/// How a daemon runs, which follows from who started it.
enum class LaunchMode {
  detached,    ///< in the background, in a session of its own
  foreground,  ///< in the caller's process, because the options say so
  managed,     ///< in the caller's process, because a service manager started it
  inetd,       ///< in the caller's process, because standard input is a connection
  init,        ///< in the caller's process, because it is process 1
};

/// One word: "detached", "foreground", ...
DAEMONCTX_EXPORT std::string_view to_string(LaunchMode mode) noexcept;

}  // namespace daemonctx
