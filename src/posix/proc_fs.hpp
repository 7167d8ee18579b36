// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <optional>

namespace daemonctx::posix {

/// Whether /proc is that of the pid namespace of this process. In another a number there is another
/// process's.
bool shows_this_namespace() noexcept;

/// Whether a process has a file open, which this one has open as `fd`. Empty where the system does not tell
/// this user.
std::optional<bool> has_open(pid_t pid, int fd) noexcept;

/// On whose behalf it runs, whatever rights the program file lends it. Empty where the system does not tell.
std::optional<uid_t> real_user_of(pid_t pid) noexcept;

}  // namespace daemonctx::posix
