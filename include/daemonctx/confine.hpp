// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/filesystem/path.hpp>
#include <memory>
#include <string>
#include <vector>

#include "daemonctx/export.hpp"
#include "daemonctx/restriction.hpp"

// Restrictions for `DaemonOptions::restrictions`; a library of its own, daemonctx-confine. What it was built
// without (libcap, the header of Landlock, libseccomp) or the kernel lacks is refused when the daemon is
// started; with `best_effort` what the kernel lacks is left out.

namespace daemonctx {

/// The capabilities that the daemon has, also after it became `user`: these, and no others.
///
/// Neither the bounding set nor the inheritable and ambient ones hold any other. A program that the daemon
/// executes gets none unless it runs as root, and then only these. CAP_SETUID and CAP_SETGID are refused
/// where the daemon changes its user: they would be the way back to root.
/// \param names such as "CAP_NET_BIND_SERVICE"; upper or lower case; see capabilities(7). Needs libcap. Fails
///   (EPERM) if the starter does not have them, or may not change the bounding set and the daemon stays root.
///   An ordinary user who may not has no_new_privileges set instead.
DAEMONCTX_EXPORT std::shared_ptr<Restriction> keep_capabilities(std::vector<std::string> names);

/// Files that the daemon may use; see `landlock`. A directory stands for all that is beneath it; a link for
/// what it leads to. They must exist. With `chroot_directory` they lie inside; relative paths are resolved in
/// the caller's working directory.
struct LandlockRules {
  std::vector<boost::filesystem::path> read_only = {};   ///< read and execute
  std::vector<boost::filesystem::path> read_write = {};  ///< all but execute and making devices
  bool best_effort = false;
};

/// The daemon, and all that it executes, can open no file that the rules don't name; see landlock(7).
///
/// What is open already stays usable: standard streams, the pidfile, what `before_drop` opened. The pidfile
/// is emptied at the end instead of removed, and its log can't be reopened, unless their directory is in
/// `read_write`. As far as the kernel's Landlock goes: truncation is covered since Linux 6.2, ioctl on
/// devices since 6.10; metadata (stat, chmod, chdir) and connections to sockets are not. Implies
/// `no_new_privileges`.
DAEMONCTX_EXPORT std::shared_ptr<Restriction> landlock(LandlockRules rules);

enum class Violation {
  fail,  ///< the system call fails with EPERM
  kill,  ///< the daemon is killed (SIGSYS)
};

/// System calls by their names, as in "accept4"; see `system_calls`. One of the lists is empty.
struct SystemCallRules {
  std::vector<std::string> allowed = {};  ///< beside `basic_system_calls()`
  std::vector<std::string> denied = {};
  Violation on_violation = Violation::fail;
  bool best_effort = false;
};

/// What this library, the C and the C++ runtime need to wait, handle signals, run threads, write to what is
/// open, clean up and end. It can't open files nor start programs.
DAEMONCTX_EXPORT const std::vector<std::string>& basic_system_calls();

/// The daemon, and all that it executes, can make only some system calls; see seccomp(2). Those of another
/// architecture kill it. It is the last of the restrictions: it may rule out what the others need.
///
/// What is allowed depends on the version of the C library: test a list of `allowed` where it is to be used.
/// Implies `no_new_privileges`. Needs libseccomp.
DAEMONCTX_EXPORT std::shared_ptr<Restriction> system_calls(SystemCallRules rules);

}  // namespace daemonctx
