// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <boost/filesystem/path.hpp>
#include <string>

namespace daemonctx {

/// A directory that a daemon needs, such as /run/foo: made before its pidfile is opened and before it gives
/// its privileges up.
///
/// What is there already is used if it is a directory (not a symbolic link) of root, of the starter or of
/// `user`; it then gets this owner and mode. Where others may write its parent, they could have moved another
/// directory of root's there: then it must be empty, or as it should be. Missing parents are made with mode
/// 0755. On the way, symbolic links are followed only where nobody but root and the starter could have put
/// them.
struct Directory {
  boost::filesystem::path path = {};  ///< without `..`; relative to the caller's working directory
  mode_t mode = 0755;                 ///< whatever the umask
  std::string user = {};              ///< name or number; empty: `DaemonOptions::user`, or else the starter
  std::string group = {};             ///< likewise
};

}  // namespace daemonctx
