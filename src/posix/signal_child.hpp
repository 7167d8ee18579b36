// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

namespace daemonctx::posix {

/// Sends a signal to a child, with `value` unless that is 0, and SIGCONT after it, so that a suspended child
/// can act on it. Root without CAP_KILL, as in many containers,
/// may not signal a child that has another user: then a process is forked that becomes this user, which needs
/// CAP_SETUID. Blocks until that process has ended.
/// \return 0 or an errno.
int signal_child(pid_t child, int number, int value = 0) noexcept;

}  // namespace daemonctx::posix
