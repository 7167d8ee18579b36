// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <signal.h>

#include "context/daemon_context_impl.hpp"
#include "posix/progress_ticker.hpp"

namespace daemonctx {

// The steps of the caller before the daemon is forked: an error that can show here must not show later.
// `start` decides their order. A step that fails throws DaemonError with the `Step` of its name.

/// Makes paths absolute. Clears `user` and `group` where `ChangeUser::if_root` rules them out. Adds a monitor
/// with `max_restarts` 0 if output or error goes to syslog without `respawn`.
void resolve_options(DaemonOptions& options);

Surroundings look_around(const DaemonOptions& options);
void adopt_manager(DaemonContext::Impl& impl, const Surroundings& surroundings);
void look_up_user(DaemonContext::Impl& impl);
void check_threads(const DaemonContext::Impl& impl);
/// Creates the directories that are missing, and locks the pidfile, which may lie in one of them.
/// \param waiting_mask the signal mask while the caller waits for another process's lock.
void create_directories_and_lock_pidfile(DaemonContext::Impl& impl, Ticker& ticker,
                                         const sigset_t& waiting_mask);

void prepare_restrictions(const DaemonOptions& options);
void open_stdio(DaemonContext::Impl& impl);

/// Checks that `open_stdio` would succeed, but creates no file. Throws the same errors.
void check_stdio(const DaemonContext::Impl& impl);

}  // namespace daemonctx
