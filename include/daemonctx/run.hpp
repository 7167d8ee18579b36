// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "daemonctx/daemon_options.hpp"
#include "daemonctx/export.hpp"

namespace daemonctx {

class DaemonContext;

/// Checks these options without a start: throws what the constructor would throw for options, user, log
/// files, pidfile and working directory. It takes no lock, creates nothing and starts nothing. Restrictions
/// are prepared only if all `create_directories` exist: they may name files in them. Call it before a
/// restart, while the old daemon still runs.
DAEMONCTX_EXPORT void preflight(DaemonOptions options);

/// Describes a start with these options, line by line: the mode and its reason, and the steps of each
/// process. Runs none of the steps.
/// \throws what the constructor would throw for options and mode.
DAEMONCTX_EXPORT std::string explain(DaemonOptions options);

/// A `DaemonContext` without a try block: becomes a daemon, calls `body` and returns its result as the exit
/// code. An exception, also from the constructor, becomes one line and exit code 1. Before the daemon is
/// ready the line goes to the user's terminal, afterwards to the daemon's standard error.
///
/// Cleanups registered in `body` run after `body` has returned; they must not refer to its local variables.
DAEMONCTX_EXPORT int run(DaemonOptions options, const std::function<int(DaemonContext&)>& body);

namespace detail {
/// Calls `body`. An exception goes to `DaemonContext::fail`, and the exit code is 1.
DAEMONCTX_EXPORT int run_body(DaemonContext& context, const std::function<int(DaemonContext&)>& body);

/// `DaemonContext::remember` and `remembered` for `Service`, whose bytes the program's must not replace.
DAEMONCTX_EXPORT void remember_for_service(const DaemonContext& context, std::string_view bytes);
DAEMONCTX_EXPORT std::optional<std::string> remembered_for_service(const DaemonContext& context);
}  // namespace detail

}  // namespace daemonctx
