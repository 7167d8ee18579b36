// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "context/daemon_context_impl.hpp"

namespace daemonctx {

/// In a program that an upgrade has started: takes over what the record names, except what later steps take.
/// \throws DaemonError (`adopt_predecessor`): the program can't be what the record wants.
void adopt(DaemonContext::Impl& impl, HandOver record);

/// What is left of the record; nullptr: no upgrade has started this program.
HandOver* record_of(DaemonContext::Impl& impl) noexcept;

/// Takes over the pidfile, if an upgrade has started this program. \return whether it has.
/// \throws DaemonError (`open_pidfile`, `lock_pidfile`).
bool inherit_pidfile(DaemonContext::Impl& impl);

/// In a new worker: speaks to its monitor in place of the service manager.
void reach_monitor(DaemonContext::Impl& impl);

/// In a new worker: tells its monitor of all sockets. \throws DaemonError (`open_sockets`).
void tell_sockets(const DaemonContext::Impl& impl);

}  // namespace daemonctx
