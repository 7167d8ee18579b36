// SPDX-License-Identifier: BSL-1.0
#pragma once

namespace daemonctx {

/// Whether the daemon becomes `DaemonOptions::user` and `group`.
enum class ChangeUser {
  always,   ///< yes; a starter other than root can name only itself
  if_root,  ///< only if root starts the daemon; otherwise `user` and `group` are ignored, also of `Directory`
};

}  // namespace daemonctx
