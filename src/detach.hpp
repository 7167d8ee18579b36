// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include "readiness.hpp"

namespace daemonctx {

/// Starts the intermediate, which creates a session, starts the daemon and ends.
///
/// With vfork(2) the intermediate borrows the caller's memory, so that its page tables are copied once, for the
/// daemon, and not twice. Nothing relies on that: `start_by_fork` does the same with a copy for each.
/// \pre all signals are blocked.
/// \return in the caller the intermediate's pid, or -1 with errno; in the daemon 0.
pid_t start_by_vfork(const StatusWriter& status) noexcept;
pid_t start_by_fork(const StatusWriter& status) noexcept;

/// The one of them that this build uses.
pid_t start_intermediate(const StatusWriter& status) noexcept;

/// Makes orphans of the caller's descendants its children, so that it can tell how a daemon died.
class SubreaperScope {
 public:
  SubreaperScope() noexcept;
  ~SubreaperScope();
  SubreaperScope(const SubreaperScope&) = delete;
  SubreaperScope& operator=(const SubreaperScope&) = delete;

 private:
  int former_ = 0;
};

}  // namespace daemonctx
