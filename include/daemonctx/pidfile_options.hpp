// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include "daemonctx/timeout.hpp"

namespace daemonctx {

/// How the pidfile is made and locked.
struct PidfileOptions {
  /// Of a new and of an existing pidfile, regardless of the umask: 0644, 0640, 0604 or 0600. Every user who
  /// may read the pidfile can ask for the daemon's status and for why a reload was refused. Such a user can
  /// also delay a start, and a reload's outcome, with a read lock. 0600 rules both out.
  mode_t mode = 0644;

  /// How long a start waits for the lock before it fails with "already running". It also waits for a daemon
  /// that is not leaving: nobody can tell whether a stop request is on its way to that daemon.
  Timeout lock_timeout = {};
};

}  // namespace daemonctx
