// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <string>

#include "daemonctx/error.hpp"
#include "daemonctx/path.hpp"
#include "posix/unique_fd.hpp"
#include "safe_path/trusted_path.hpp"

namespace daemonctx {

/// Finds and checks the file to use as a pidfile. All these functions run in the caller.

DaemonError unusable_pidfile(const Path& path, const std::string& why);

/// \throws DaemonError (`open_pidfile`).
posix::DirectoryEntry find_pidfile(const Path& path);

/// Opens the pidfile to be read and written. It must be a regular file with one link, owned by this user or
/// root, that nobody else may write. It must hold a number or nothing: any other file would lose its text.
/// \throws DaemonError (`open_pidfile`), with the system's error or the property that is wrong.
UniqueFd open_pidfile(const posix::DirectoryEntry& entry, const Path& path);

/// Opens the pidfile, or creates it. \param is_new whether this call has created it.
/// \return none, with errno, on failure. The file must still be checked.
UniqueFd open_or_create_pidfile(const posix::DirectoryEntry& entry, mode_t mode, bool& is_new) noexcept;

/// Checks what `open_pidfile` promises. \param fd none: it could not be opened, and errno says why.
void check_pidfile(const posix::DirectoryEntry& entry, const Path& path, const UniqueFd& fd);

/// Whether a directory entry is the open file. With AT_FDCWD, `name` is the whole path.
bool leads_to(int directory, const char* name, int fd) noexcept;

}  // namespace daemonctx
