// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>
#include <vector>

#include "daemonctx/export.hpp"
#include "daemonctx/path.hpp"
#include "daemonctx/restriction.hpp"

// Restrictions for `DaemonOptions::restrictions`, in a separate library: daemonctx-confine. The start fails
// if the library was built without a restriction (libcap, the Landlock header, libseccomp), or the kernel
// lacks it. `best_effort` leaves out what the kernel lacks.

namespace daemonctx {

/// Limits the daemon to these capabilities, also after it became `user`.
///
/// The bounding, inheritable and ambient sets hold no other capability either. A program that the daemon
/// executes gets none; if it runs as root, it gets only these. CAP_SETUID and CAP_SETGID are refused if the
/// daemon changes its user: they would be a way back to root.
///
/// Needs libcap. The start fails (EPERM) if the starter lacks a capability, or if it may not change the
/// bounding set and the daemon stays root. If an ordinary user may not change the bounding set,
/// no_new_privileges is set instead.
/// \param names such as "CAP_NET_BIND_SERVICE", in upper or lower case; see capabilities(7).
DAEMONCTX_EXPORT RestrictionHandle keep_capabilities(std::vector<std::string> names);

/// Files that the daemon may use; see `landlock`. A directory stands for all files beneath it, a symbolic
/// link for its target. All paths must exist. With `chroot_directory` the paths lie inside it; otherwise
/// relative paths are resolved in the caller's working directory.
struct LandlockRules {
  std::vector<Path> read_only = {};   ///< read and execute
  std::vector<Path> read_write = {};  ///< everything but executing and making devices
  bool best_effort = false;
};

/// The daemon, and every program that it executes, can open only files that the rules name; see landlock(7).
///
/// Open descriptors stay usable: standard streams, the pidfile, files that `before_drop` opened. Unless their
/// directory is in `read_write`, the pidfile is emptied at the end instead of removed, and the log can't be
/// reopened. The kernel's Landlock sets the limits: truncation is covered since Linux 6.2, ioctl on devices
/// since 6.10. Metadata (stat, chmod, chdir) and connections to sockets are not covered. Implies
/// `no_new_privileges`.
DAEMONCTX_EXPORT RestrictionHandle landlock(LandlockRules rules);

enum class Violation {
  fail,  ///< the system call fails with EPERM
  kill,  ///< the daemon is killed (SIGSYS)
};

/// System calls by name, such as "accept4"; see `system_calls`. One of the two lists must be empty.
struct SystemCallRules {
  std::vector<std::string> allowed = {};  ///< in addition to `basic_system_calls()`
  std::vector<std::string> denied = {};
  Violation on_violation = Violation::fail;
  bool best_effort = false;
};

/// The system calls that this library and the C and C++ runtimes need to wait, handle signals, run threads,
/// write to open descriptors, clean up and end. They can neither open files nor start programs.
DAEMONCTX_EXPORT const std::vector<std::string>& basic_system_calls();

/// The daemon, and every program that it executes, can make only some system calls; see seccomp(2). A call of
/// another architecture kills the process. This restriction must be the last: it may forbid calls that the
/// others need.
///
/// The calls that a program needs depend on the version of the C library: test a list of `allowed` on the
/// system where it will be used. Implies `no_new_privileges`. Needs libseccomp.
DAEMONCTX_EXPORT RestrictionHandle system_calls(SystemCallRules rules);

}  // namespace daemonctx
