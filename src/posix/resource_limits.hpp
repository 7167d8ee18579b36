// SPDX-License-Identifier: BSL-1.0
#pragma once

namespace daemonctx::posix {

/// Prevents the core file and the core handler of this process.
/// \return 0 or an errno.
/// \note Runs in the daemon before it may allocate.
int prevent_core() noexcept;

/// Like `prevent_core`, but this process can undo it. \return 0 or an errno.
int prevent_core_for_now() noexcept;

/// Makes the process not dumpable if the hard limit of core files is 0 and cannot be raised: then
/// `prevent_core` prevents no core handler.
/// \return 0 or an errno. \note Runs in the daemon after the change of user, which resets the dumpable flag.
int forbid_dumps() noexcept;

}  // namespace daemonctx::posix
