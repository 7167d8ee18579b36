// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "daemonctx/timeout.hpp"

namespace daemonctx {

/// How the pidfile is made and locked.
struct PidfileOptions {
  /// The mode of the pidfile, new or existing, regardless of the umask: 0644, 0640, 0604 or 0600. Every user
  /// who may read the pidfile can ask for the daemon's status and for why a reload was refused. Such a user
  /// can also delay a start, and a reload's outcome, with a read lock. 0600 rules both out.
  mode_t mode = 0644;

  /// How long a start waits for a daemon that is starting or stopping, before it fails with "already
  /// running". For a daemon that stays the start waits at most two seconds: a stop request may be on its way.
  Timeout lock_timeout = {};

  /// A number of the program's own, below 2^57, that the daemon shows to every process that may read the
  /// pidfile (`DaemonStatus::tag`). 0: none. `Service` shows which configuration file the daemon reads.
  std::uint64_t tag = 0;
};

}  // namespace daemonctx
