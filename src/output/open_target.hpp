// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "daemonctx/error.hpp"
#include "daemonctx/path.hpp"
#include "daemonctx/stdio.hpp"
#include "posix/unique_fd.hpp"
#include "safe_path/trusted_path.hpp"

namespace daemonctx {

/// Functions that open the target of a standard stream. They refuse a file that others could have put in its
/// place, and throw DaemonError (`open_stdio`).

/// The error (`open_stdio`) for `name`, with the current errno.
DaemonError cannot_open(const std::string& name);

/// Whether `fd` is a character device. If false, errno is set.
bool is_device(int fd) noexcept;

UniqueFd open_null_device();

/// Copies a descriptor to a number above 2. The copy is close-on-exec.
UniqueFd copy_of(int given);

/// Walks a path name by name and returns its directory and last name.
posix::DirectoryEntry find_target(const Path& path);

struct FileOwner {
  uid_t uid;
  gid_t gid;
};

/// \param user the user that the daemon becomes. This user may own a log where others may write.
/// \param owner who owns a new file; empty: this process.
/// \param is_new becomes true if the call creates the file.
UniqueFd open_file(const StdioTarget& target, int stream, const posix::DirectoryEntry& entry,
                   std::optional<uid_t> user, std::optional<FileOwner> owner, bool& is_new);

/// Checks that `open_file` could create the file.
void check_missing_file(const Path& path, const posix::DirectoryEntry& entry);

/// As `open_file`, but refuses the process's own pidfile, and never closes it. Only root gives a new file to
/// `owner`.
/// \param pidfile the descriptor of the pidfile, or -1.
UniqueFd open_beside(int pidfile, const StdioTarget& target, int stream, const posix::DirectoryEntry& entry,
                     std::optional<uid_t> user, std::optional<FileOwner> owner);

}  // namespace daemonctx
