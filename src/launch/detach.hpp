// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <signal.h>
#include <sys/types.h>

#include "launch/status_pipe.hpp"

namespace daemonctx {

/// Starts the intermediate, which creates a session, starts the daemon and ends.
///
/// With vfork(2) the intermediate borrows the caller's memory: page tables are copied once, for the daemon,
/// and not twice. Nothing relies on vfork(2): `start_by_fork` does the same with a copy for each process.
/// \pre all signals are blocked.
/// \param daemon in the caller: the daemon's pid, or 0 if there is none. It comes from the intermediate, not
///   from the daemon, which may run the code of a user whom the caller must not trust.
/// \return in the caller the intermediate's pid, or -1 with errno; in the daemon 0.
pid_t start_by_vfork(const StatusWriter& status, pid_t& daemon) noexcept;
pid_t start_by_fork(const StatusWriter& status, pid_t& daemon) noexcept;

/// Calls the one that this build uses. With several threads this is always `start_by_fork`: fork handlers of
/// other libraries (pthread_atfork(3)) run in the intermediate too. They may start threads there, taking the
/// process for theirs.
pid_t start_intermediate(const StatusWriter& status, pid_t& daemon) noexcept;

/// While it lives, the caller learns how its descendants end: orphaned descendants become its children
/// (PR_SET_CHILD_SUBREAPER), and SIGCHLD is neither ignored nor handled.
/// \pre all signals are blocked.
class ParentScope {
 public:
  ParentScope() noexcept;
  ~ParentScope();
  ParentScope(const ParentScope&) = delete;
  ParentScope& operator=(const ParentScope&) = delete;

  /// Call it in the daemon, to put nothing back: the daemon did not inherit the subreaper flag, and resets
  /// all dispositions itself.
  void keep() noexcept { restores_ = false; }

 private:
  int former_subreaper_ = 0;
  struct sigaction former_disposition_ {};
  bool restores_ = true;
};

}  // namespace daemonctx
