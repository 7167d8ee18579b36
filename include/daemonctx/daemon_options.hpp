// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

#include "daemonctx/change_user.hpp"
#include "daemonctx/directory.hpp"
#include "daemonctx/environment.hpp"
#include "daemonctx/error.hpp"
#include "daemonctx/export.hpp"
#include "daemonctx/launch_mode.hpp"
#include "daemonctx/limits.hpp"
#include "daemonctx/path.hpp"
#include "daemonctx/pidfile_options.hpp"
#include "daemonctx/respawn_policy.hpp"
#include "daemonctx/restriction.hpp"
#include "daemonctx/signal_map.hpp"
#include "daemonctx/socket.hpp"
#include "daemonctx/start_options.hpp"
#include "daemonctx/stdio.hpp"
#include "daemonctx/timeout.hpp"
#include "daemonctx/upgrade_options.hpp"

namespace daemonctx {

/// The options of a `DaemonContext`. Every member has a default; name the members you change, in the order of
/// this header. In every `Timeout` zero means "at once". Later versions add members only inside a group.
struct DaemonOptions {
  /// The daemon's working directory. A relative path is resolved in the caller's working directory.
  Path working_directory = "/";

  /// File creation mask of the daemon, in every mode. Under 0, as of daemon(7), anyone may write new files.
  mode_t umask = 022;

  /// The file that names the daemon, and whose lock admits only one daemon at a time. Empty: no pidfile. A
  /// relative path is resolved in the caller's working directory. A file that holds more than a number is
  /// refused.
  Path pidfile = {};

  /// Descriptors 0 to 2. Until the daemon is ready, output and error stay the caller's terminal.
  Stdio stdio = {};

  /// Entries replace the defaults: SIGTERM and SIGINT terminate; SIGPIPE is ignored, except in
  /// `LaunchMode::foreground`; when detached SIGTSTP, SIGTTIN and SIGTTOU are ignored (in the foreground they
  /// stay with the shell's job control).
  SignalMap signal_map = {};

  /// Open descriptors that a detaching daemon keeps, besides 0 to 2.
  std::vector<int> files_preserve = {};

  // --- Directories and environment

  /// The daemon's root directory; needs root. Users are looked up, and all files of these options are opened,
  /// before the change. `working_directory` lies inside. The pidfile is out of reach afterwards, so it is
  /// emptied at the end, not removed.
  Path chroot_directory = {};

  /// Directories that the caller creates, in this order. Only those that the pidfile lies in are created
  /// before the pidfile is locked. With the lock held, all get their owner and mode. If the start fails,
  /// owner and mode are put back, and new directories are removed.
  std::vector<Directory> create_directories = {};

  /// Replaces the inherited environment: `Environment::only_path()`. HOME, USER and LOGNAME are added for
  /// `user`.
  Environment environment = {};

  /// The process title in ps(1), with the role: "TITLE: monitor", "TITLE: worker 3". It overwrites the
  /// arguments of `main`, cut to their length. Empty: only the short name of monitor and worker changes.
  std::string title = {};

  // --- Pidfile and descriptors

  PidfileOptions pidfile_options = {};

  /// Whether a detaching daemon closes the descriptors it inherited.
  bool close_descriptors = true;

  /// Listening sockets, in the order in which the caller opens them; see `DaemonContext::socket`.
  std::vector<ListenSocket> sockets = {};

  Limits limits = {};

  // --- User and group

  /// The user and group that the daemon becomes before it enters its working directory. Names or numbers,
  /// looked up in the caller. An empty `user` changes no user; an empty `group` means the user's own group.
  ///
  /// Root's supplementary groups are always given up, and the change is verified. HOME, USER and LOGNAME
  /// follow. A starter other than root can name only itself, and keeps its groups and capabilities. Pidfile
  /// and log files are opened before the change. If the new user may not write the pidfile's directory, the
  /// pidfile is emptied at the end instead of removed.
  std::string user = {};
  std::string group = {};

  /// Whether the daemon gets the groups that `user` is a member of.
  bool initgroups = true;

  ChangeUser change_user = ChangeUser::always;

  /// Called in the daemon before it changes root directory and user. An exception is thrown in the caller.
  std::function<void()> before_drop = {};

  // --- Start

  DetachProcess detach_process = DetachProcess::automatic;

  Readiness readiness = Readiness::when_constructed;

  /// How long the caller waits for readiness. Then it ends the half-started daemon, and throws.
  Timeout ready_timeout = forever;

  StartOptions start_options = {};
  UpgradeOptions upgrade = {};  ///< for a signal that is mapped to `Action::upgrade`

  // --- Signals, errors and end

  SignalDelivery signal_delivery = SignalDelivery::in_wait;

  /// Empty: one line on standard error. With `respawn` the monitor calls it too, for its own errors and those
  /// of `on_worker_end`. The monitor runs as the user that started it, even if `user` is set.
  ErrorHandler on_error = {};

  /// How long a single cleanup may take. Then the cleanup and the rest of the end are given up: `on_error` is
  /// told, the pidfile is removed, and the process ends with exit code 1. With `forever`, another thread that
  /// ends the process meanwhile waits five seconds for a cleanup (see `~DaemonContext`).
  Timeout cleanup_timeout = forever;

  // --- Respawn

  /// Starts a new worker when the service crashes or hangs. No other thread may run, also in the foreground.
  bool respawn = false;

  /// When and how often the monitor restarts the service. Ignored without `respawn`.
  RespawnPolicy respawn_policy = {};

  // --- Restrictions

  /// Whether the daemon leaves no core file and starts no core handler (setrlimit(2), core(5)).
  bool prevent_core = true;

  /// Whether programs that the daemon executes can gain no privileges (PR_SET_NO_NEW_PRIVS).
  bool no_new_privileges = false;

  /// Rights that the daemon gives up for good, in this order: capabilities, files, system calls. See
  /// `daemonctx/confine.hpp`. A restriction holds for one thread, so no other thread may run, also in the
  /// foreground.
  std::vector<RestrictionHandle> restrictions = {};
};

/// Checks all options as a whole. `DaemonContext` calls it before it changes anything.
/// \throws std::invalid_argument, naming the member and the reason.
DAEMONCTX_EXPORT void validate(const DaemonOptions& options);

}  // namespace daemonctx
