// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace daemonctx::posix {

/// True if /proc shows the pid namespace of this process. In the /proc of another namespace a pid names
/// another process.
bool shows_this_namespace() noexcept;

/// True if the process `pid` has the file open that this process has open as `fd`. Empty where the system
/// does not tell this user.
std::optional<bool> has_open(pid_t pid, int fd) noexcept;

/// The real uid of a process, which set-user-id does not change. Empty where the system does not tell.
std::optional<uid_t> real_user_of(pid_t pid) noexcept;

/// Whether a process is exiting, or writes its core file. It keeps its locks until it has done so.
bool is_ending(pid_t pid) noexcept;

/// The children of a process, with those that have ended and were not waited for. Empty if the system does
/// not tell. The pid of a child may name another process as soon as the child was waited for.
std::vector<pid_t> children_of(pid_t pid) noexcept;

struct NamedThread {
  pid_t tid = 0;
  std::string name = {};
};

/// The threads of a process. Empty if the system does not tell.
std::vector<NamedThread> threads_of(pid_t pid);

}  // namespace daemonctx::posix
