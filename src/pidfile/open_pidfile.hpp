// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <boost/filesystem/path.hpp>
#include <string>

#include "daemonctx/error.hpp"
#include "posix/unique_fd.hpp"
#include "safe_path/trusted_path.hpp"

namespace daemonctx {

/// Which file is taken for a pidfile. All run in the caller.

DaemonError unusable_pidfile(const boost::filesystem::path& path, const std::string& why);

/// \throws DaemonError (`open_pidfile`).
posix::DirectoryEntry find_pidfile(const boost::filesystem::path& path);

/// Opens it to be read and written: a regular file with one link, owned by this user or root, that nobody
/// else may write. Where others may rename files it holds a number, or nothing: another file of root's would
/// lose its text.
/// \param flags O_CREAT, or 0.
/// \throws DaemonError (`open_pidfile`), with the system's error or the property that is wrong.
UniqueFd open_pidfile(const posix::DirectoryEntry& entry, const boost::filesystem::path& path, int flags,
                      mode_t mode);

}  // namespace daemonctx
