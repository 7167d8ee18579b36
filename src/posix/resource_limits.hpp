// SPDX-License-Identifier: BSL-1.0
#pragma once

namespace daemonctx::posix {

/// Sees to it that this process leaves no core file and no core handler is started for it.
/// \return 0 or an errno.
/// \note Runs in the daemon before it may allocate.
int prevent_core() noexcept;

}  // namespace daemonctx::posix
