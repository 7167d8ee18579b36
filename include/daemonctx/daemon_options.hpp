// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "daemonctx/directory.hpp"
#include "daemonctx/environment.hpp"
#include "daemonctx/export.hpp"
#include "daemonctx/launch_mode.hpp"
#include "daemonctx/path.hpp"
#include "daemonctx/progress.hpp"
#include "daemonctx/respawn_policy.hpp"
#include "daemonctx/restriction.hpp"
#include "daemonctx/signal_map.hpp"
#include "daemonctx/stdio.hpp"
#include "daemonctx/timeout.hpp"

namespace daemonctx {

enum class Readiness {
  when_constructed,  ///< the caller ends as soon as the constructor has done its work
  when_notified,     ///< the caller ends when the daemon calls `notify_ready()`
};

enum class SignalDelivery {
  in_wait,        ///< actions run in the thread that calls `wait*()` or `dispatch()`
  on_own_thread,  ///< actions run on a thread of the library's own
};

/// Receives an exception that no caller could catch, and where it was thrown: in a cleanup, a reload, a
/// signal action or a reopen of the output. An exception that the handler itself throws is dropped.
using ErrorHandler = std::function<void(std::exception_ptr error, std::string_view where)>;

/// Whether the daemon becomes `DaemonOptions::user` and `group`.
enum class ChangeUser {
  always,   ///< yes; a starter other than root can name only itself
  if_root,  ///< only if root starts the daemon; `user` and `group` mean nothing to other starters
};

/// How the pidfile is made and locked.
struct PidfileOptions {
  /// Of a new and of an existing pidfile, regardless of the umask: 0644, 0640, 0604 or 0600. Every user who
  /// may read the pidfile can ask for the daemon's status and for why a reload was refused. Such a user can
  /// also delay a start, and a reload's outcome, with a read lock. 0600 rules both out.
  mode_t mode = 0644;

  /// How long a start waits for the lock before it fails with "already running".
  Timeout lock_timeout = {};
};

/// The options of a `DaemonContext`. Every member has a default; name the members you change, in the order of
/// this header. In every `Timeout` zero means "at once".
///
/// The order is that of a reader's questions. Later versions add members only inside a group:
/// 1. everyday options: `working_directory` to `files_preserve`;
/// 2. where it lives: `chroot_directory`, `create_directories`, `environment`, (title);
/// 3. what it holds: `pidfile_options`, `close_descriptors`, (sockets, limits);
/// 4. as whom it runs: `user` to `before_drop`, (the log's owner, in `FileOptions`);
/// 5. how it starts: `detach_process` to `on_launched`, (upgrade);
/// 6. how it works and ends: `signal_delivery`, `on_error`, `cleanup_timeout`;
/// 7. how it comes back: `respawn`, `respawn_policy`, (crash report);
/// 8. what it gives up: `prevent_core`, `no_new_privileges`, `restrictions`.
struct DaemonOptions {
  /// The daemon's working directory. A relative path is resolved in the caller's working directory.
  Path working_directory = "/";

  /// File creation mask of the daemon, in every mode. python-daemon and daemon(7) take 0, under which a
  /// `std::ofstream` makes files that anyone may write.
  mode_t umask = 022;

  /// The file that names the daemon, and whose lock admits only one daemon at a time. Empty: no pidfile. A
  /// relative path is resolved in the caller's working directory. A file that holds more than a number is
  /// refused.
  Path pidfile = {};

  /// Descriptors 0 to 2. Output and error are redirected when the daemon is ready. Until then the daemon
  /// prints to the caller's terminal.
  Stdio stdio = {};

  /// Entries replace the defaults: SIGTERM and SIGINT terminate; SIGPIPE is ignored, except in
  /// `LaunchMode::foreground`; when detached SIGTSTP, SIGTTIN and SIGTTOU are ignored (in the foreground they
  /// stay with the shell's job control).
  SignalMap signal_map = {};

  /// Open descriptors that a detaching daemon keeps, besides 0 to 2.
  std::vector<int> files_preserve = {};

  // --- Where it lives

  /// The daemon's root directory; needs root. Users are looked up, and all files of these options are opened,
  /// before the change. `working_directory` lies inside. The pidfile is out of reach afterwards, so it is
  /// emptied at the end, not removed.
  Path chroot_directory = {};

  /// Directories that the caller creates, in this order, before it opens the pidfile. They get their owner
  /// and mode once the pidfile is locked. If the start fails, owner and mode are put back, and new
  /// directories are removed.
  std::vector<Directory> create_directories = {};

  /// Replaces the inherited environment: `Environment::only_path()`. HOME, USER and LOGNAME are added for
  /// `user`.
  Environment environment = {};

  // --- What it holds

  PidfileOptions pidfile_options = {};

  /// Whether a detaching daemon closes the descriptors it inherited.
  bool close_descriptors = true;

  // --- As whom it runs

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

  // --- How it starts

  DetachProcess detach_process = DetachProcess::automatic;

  /// Whether a start forks although other threads run. These threads do not exist in the daemon, and their
  /// locks stay locked.
  bool allow_threads = false;

  Readiness readiness = Readiness::when_constructed;

  /// How long the caller waits for readiness. Then it ends the half-started daemon, and throws.
  Timeout ready_timeout = forever;

  /// An open descriptor: when the daemon is ready, it writes a line end there and closes it. This is the
  /// protocol of s6 (notification-fd) and OpenRC (notify=fd:N). With it, `automatic` stays in the foreground.
  /// -1: no descriptor.
  int notify_descriptor = -1;

  /// Called in the caller while it waits for a lock or for readiness.
  Progress on_wait = {};

  /// Called in the caller with the daemon's pid when the daemon is ready, before the caller ends. All signals
  /// are blocked. C and C++ streams are flushed afterwards; an exception is dropped. Not called in the
  /// foreground.
  std::function<void(pid_t daemon)> on_launched = {};

  // --- How it works and ends

  SignalDelivery signal_delivery = SignalDelivery::in_wait;

  /// Empty: one line on standard error. With `respawn` the monitor calls it too, for its own errors and those
  /// of `on_worker_end`. The monitor runs as the user that started it, even if `user` is set.
  ErrorHandler on_error = {};

  /// How long a single cleanup may take. Then the cleanup and the rest of the end are given up: `on_error` is
  /// told, the pidfile is removed, and the process ends with exit code 1. With `forever`, another thread that
  /// ends the process meanwhile waits five seconds for a cleanup (see `~DaemonContext`).
  Timeout cleanup_timeout = forever;

  // --- How it comes back

  /// Starts a new worker when the service crashes or hangs. No other thread may run, also in the foreground.
  bool respawn = false;

  /// When and how often. Means nothing without `respawn`.
  RespawnPolicy respawn_policy = {};

  // --- What it gives up

  /// Whether the daemon leaves no core file and starts no core handler (setrlimit(2), core(5)).
  bool prevent_core = true;

  /// Whether programs that the daemon executes can gain no privileges (PR_SET_NO_NEW_PRIVS).
  bool no_new_privileges = false;

  /// Rights that the daemon gives up for good, in this order: capabilities, files, system calls. See
  /// `daemonctx/confine.hpp`. A restriction holds for one thread, so no other thread may run, also in the
  /// foreground.
  std::vector<std::shared_ptr<Restriction>> restrictions = {};
};

/// Checks all options as a whole. `DaemonContext` calls it before it changes anything.
/// \throws std::invalid_argument, naming the member and the reason.
DAEMONCTX_EXPORT void validate(const DaemonOptions& options);

}  // namespace daemonctx
