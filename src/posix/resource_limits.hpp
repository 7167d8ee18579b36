// SPDX-License-Identifier: BSL-1.0
#pragma once

namespace daemonctx::posix {

/// Sees to it that this process leaves no core file and no core handler is started for it.
/// \return 0 or an errno.
/// \note Runs in the daemon before it may allocate.
int prevent_core() noexcept;

/// The same, so that this process can take it back. \return 0 or an errno.
int prevent_core_for_now() noexcept;

/// Does it another way where the hard limit of core files is 0 and can't be raised: then the process is not
/// dumpable.
/// \return 0 or an errno. \note Runs in the daemon after the change of user, which sets that anew.
int forbid_dumps() noexcept;

}  // namespace daemonctx::posix
