// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <string>

#include "daemonctx/path.hpp"

namespace daemonctx {

/// A directory that a daemon needs, such as /run/foo. It is made before the daemon gives up its privileges.
///
/// An existing directory (not a symbolic link) is used if it belongs to root, to the starter or to `user`; it
/// then gets this owner and mode. If others may write its parent, the directory must be empty, or already
/// have this owner and mode: others could have moved another of root's directories there. Missing parents are
/// made with mode 0755. Symbolic links on the way are followed only where nobody but root and the starter
/// could have put them.
struct Directory {
  Path path = {};          ///< without `..`; relative to the caller's working directory
  mode_t mode = 0755;      ///< regardless of the umask
  std::string user = {};   ///< name or number; empty: `DaemonOptions::user`, or else the starter
  std::string group = {};  ///< empty: the group of `user`, or else `DaemonOptions::group`
};

}  // namespace daemonctx
