// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <csignal>
#include <string>

#include "daemonctx/detail/chrono.hpp"
#include "daemonctx/path.hpp"
#include "daemonctx/timeout.hpp"

namespace daemonctx {

/// How a running service is replaced by a new version of its program (`Action::upgrade`,
/// `Controller::upgrade`). The running service starts the new program with its sockets and its lock, and
/// serves on. Both serve until the new one has proved itself. If anything goes wrong before, the running
/// service stays, and says why.
struct UpgradeOptions {
  /// How long the new program may take until it is ready.
  Timeout ready_timeout = std::chrono::seconds(60);

  /// How long the new program must then have run. If it ends earlier, the connections that it has accepted
  /// are lost, and nothing else.
  Timeout probation = std::chrono::seconds(2);

  /// How long the old service may take to end after that, such as for its open connections. Then it ends
  /// without its cleanups.
  Timeout drain = std::chrono::seconds(30);
};

/// What `Controller::upgrade` asks for.
struct UpgradeRequest {
  /// The new program, by its absolute path. Only root and the daemon's own user may name one. No other thread
  /// of this process may use a `Controller` of the same pidfile meanwhile. A daemon in another pid namespace
  /// does not see it. Empty: the path by which the service was started.
  Path binary = {};

  int signal = SIGUSR2;  ///< the one that is mapped to `Action::upgrade`
};

struct UpgradeResult {
  pid_t pid = 0;             ///< of the service that now runs
  std::string refusal = {};  ///< if the upgrade failed: why, up to about 240 bytes
};

}  // namespace daemonctx
