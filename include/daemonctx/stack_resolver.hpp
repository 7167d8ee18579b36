// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "daemonctx/crash_report.hpp"
#include "daemonctx/export.hpp"

// The stacks of crashed and hanging workers, for `RespawnPolicy::crash_report`, in a separate library:
// daemonctx-crash. It needs libdw of elfutils.

namespace daemonctx {

/// Unwinds stacks by the call frame information of the modules, and names functions by their symbol tables.
///
///     #0 0x000055d0c0de1234 heartbeat::beat() + 0x14 (/usr/sbin/heartbeat + 0x1234)
///     /usr/sbin/heartbeat has the build-id 3f2a...
///
/// Opens only modules that the monitor itself has mapped, and checks their build-ids. A frame in a module
/// that the worker loaded later ends the stack. x86-64 and AArch64; elsewhere there are no stacks.
DAEMONCTX_EXPORT CrashReport stack_resolver();

}  // namespace daemonctx
