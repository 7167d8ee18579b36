// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <functional>
#include <string>

#include "daemonctx/daemon_options.hpp"
#include "daemonctx/export.hpp"

namespace daemonctx {

class DaemonContext;

/// Checks what a start with these options would find: throws what the constructor would throw for options,
/// user, log files (a missing one is created), pidfile and working directory, but takes no lock and starts
/// nothing. For who is about to stop a daemon in order to start it anew.
DAEMONCTX_EXPORT void rehearse(DaemonOptions options);

/// What a start with these options would do, and why, line by line: the mode, and the steps of each process.
/// Does none of them.
/// \throws what the constructor would throw for options and mode.
DAEMONCTX_EXPORT std::string explain(DaemonOptions options);

/// The guard without a try block: becomes a daemon, calls `body` and returns its result as the exit status.
/// An exception, also of the constructor, becomes one line and the status 1: on the user's terminal before
/// the daemon is ready, on the daemon's standard error afterwards.
///
/// Cleanups registered in the body run after it returned; they must not refer to its local variables.
DAEMONCTX_EXPORT int run(DaemonOptions options, const std::function<int(DaemonContext&)>& body);

/// The second half of that, for who constructs the guard himself: calls `body`; an exception goes through
/// `fail()`, and the status is 1.
DAEMONCTX_EXPORT int run(DaemonContext& context, const std::function<int(DaemonContext&)>& body);

}  // namespace daemonctx
