// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "daemonctx/error.hpp"
#include "daemonctx/stdio.hpp"
#include "posix/unique_fd.hpp"
#include "safe_path/trusted_path.hpp"

namespace daemonctx {

/// Opens what a standard stream is to lead to. A file that others could have put in its place is refused. All
/// throw DaemonError (`open_stdio`).

/// With the system's last error.
DaemonError cannot_open(const std::string& name);

/// Whether it is a character device. False with errno.
bool is_device(int fd) noexcept;

UniqueFd open_null_device();

/// A copy of a descriptor, beyond the standard ones.
UniqueFd copy_of(int given);

/// The directory and the last name of a path, walked name by name.
posix::DirectoryEntry find_target(const boost::filesystem::path& path);

/// \param user whom the daemon becomes: he too may own a log where others may write.
UniqueFd open_file(const StdioTarget& target, int stream, const posix::DirectoryEntry& entry,
                   std::optional<uid_t> user);

/// The same for a file that must not be the process's own pidfile: that is refused, and never closed.
/// \param pidfile the descriptor of it, or -1.
UniqueFd open_beside(int pidfile, const StdioTarget& target, int stream, const posix::DirectoryEntry& entry,
                     std::optional<uid_t> user);

}  // namespace daemonctx
