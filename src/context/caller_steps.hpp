// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <signal.h>

#include "context/daemon_context_impl.hpp"
#include "posix/progress_ticker.hpp"

namespace daemonctx {

// What the caller does, in this order, before there is a second process: whatever can fail here, fails here.
// Each throws DaemonError with the step of its name.

void resolve_paths(DaemonOptions& options);

/// Where somebody has to pass on what the service prints.
void add_monitor(DaemonOptions& options);

Surroundings look_around(const DaemonOptions& options);
void adopt_manager(DaemonContext::Impl& impl, const Surroundings& surroundings);
void look_up_user(DaemonContext::Impl& impl);
void check_threads(const DaemonContext::Impl& impl);
void create_directories(DaemonContext::Impl& impl);
void prepare_restrictions(const DaemonOptions& options);
void open_stdio(DaemonContext::Impl& impl);

/// \param waiting_mask the signal mask while it waits for somebody else's lock.
void lock_pidfile(DaemonContext::Impl& impl, Ticker& ticker, const sigset_t& waiting_mask);

}  // namespace daemonctx
