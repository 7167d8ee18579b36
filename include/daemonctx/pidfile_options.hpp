// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include "daemonctx/timeout.hpp"

namespace daemonctx {

/// How the pidfile is made and locked.
struct PidfileOptions {
  /// The mode of the pidfile, new or existing, regardless of the umask: 0644, 0640, 0604 or 0600. Every user
  /// who may read the pidfile can ask for the daemon's status and for why a reload was refused. Such a user
  /// can also delay a start, and a reload's outcome, with a read lock. 0600 rules both out.
  mode_t mode = 0644;

  /// How long a start waits for the lock before it fails with "already running". The start waits
  /// even if the daemon is not stopping. A stop request may be on its way, and a start can't see it.
  Timeout lock_timeout = {};
};

}  // namespace daemonctx
