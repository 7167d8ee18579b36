// SPDX-License-Identifier: BSL-1.0
#pragma once

namespace daemonctx {

/// Forks process 1 and returns in the child only. The child has all that the process had before, except its
/// pid. Process 1 itself does what no other process can. It reaps the orphans of its pid namespace, hands on
/// signals that were sent to it, and ends with the exit code of the child (128 + n if signal n ended the
/// child).
///
/// A single process could not tell the statuses of orphans from those of the service's own children. Also,
/// process 1 has no default actions for signals (pid_namespaces(7)). Signals of the terminal are not handed
/// on: they go to the whole process group, and so reach the child.
/// \pre one thread.
/// \throws DaemonError (`start_daemon`)
void leave_process_1();

}  // namespace daemonctx
