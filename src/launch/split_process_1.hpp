// SPDX-License-Identifier: BSL-1.0
#pragma once

namespace daemonctx {

/// Makes two processes of process 1: this one goes on in the child, which has what the process was before,
/// but for its number. Process 1 itself does what nobody else can: it reaps the orphans of its pid namespace,
/// hands signals on that were sent to it, and ends with the status of the child (128 + n if a signal ended
/// that).
///
/// In one process the statuses of orphans could not be told from those of the service's own children, and
/// process 1 has no default actions for signals (pid_namespaces(7)). Signals of the terminal reach the child
/// by themselves: they go to the whole process group.
/// \pre one thread.
/// \throws DaemonError (`start_daemon`)
void leave_process_1();

}  // namespace daemonctx
