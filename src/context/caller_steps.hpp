// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <signal.h>

#include <array>
#include <vector>

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
/// Splits `create_directories`: first those that the pidfile lies in, then the others.
std::array<std::vector<Directory>, 2> split_by_pidfile(const DaemonOptions& options);

/// Creates the directories that the pidfile lies in, locks the pidfile, and creates the other directories.
/// \param waiting_mask the signal mask while the caller waits for another process's lock.
void create_directories_and_lock_pidfile(DaemonContext::Impl& impl, Ticker& ticker,
                                         const sigset_t& waiting_mask);

void open_sockets(DaemonContext::Impl& impl);
void prepare_restrictions(const DaemonOptions& options);
void open_stdio(DaemonContext::Impl& impl);

}  // namespace daemonctx
