// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <boost/filesystem/path.hpp>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemonctx/directory.hpp"
#include "daemonctx/export.hpp"
#include "daemonctx/launch_mode.hpp"
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

/// Called with what was thrown where no caller could catch it (a cleanup, a reload, a signal action, a reopen
/// of the output), and with which of these it was. What the handler throws itself is dropped.
using ErrorHandler = std::function<void(std::exception_ptr error, std::string_view where)>;

/// What `DaemonContext` is told. Every member has a default; name those you change, in this order.
/// In every `Timeout` zero means "at once".
struct DaemonOptions {
  /// Entered by the daemon. A relative one is resolved in the caller's working directory.
  boost::filesystem::path working_directory = "/";

  /// File creation mask of the daemon, in every mode. python-daemon and daemon(7) take 0, under which a
  /// `std::ofstream` makes files that anyone may write.
  mode_t umask = 022;

  /// Names the daemon to people and tools, and admits only one at a time. Empty: none. A relative path is
  /// resolved in the caller's working directory.
  boost::filesystem::path pidfile = {};

  /// Descriptors 0 to 2. Output and error are redirected when the daemon is ready; until then what it prints
  /// reaches the terminal it was started from.
  Stdio stdio = {};

  /// Laid over the defaults: SIGTERM and SIGINT terminate; when detached SIGTSTP, SIGTTIN and SIGTTOU are
  /// ignored (in the foreground they stay with the shell's job control).
  SignalMap signal_map = {};

  /// Open descriptors that a detaching daemon keeps, besides 0 to 2.
  std::vector<int> files_preserve = {};

  /// Whether a detaching daemon closes the descriptors it inherited.
  bool close_descriptors = true;

  /// No core file and no core handler: what is in memory stays there (setrlimit(2), core(5)).
  bool prevent_core = true;

  DetachProcess detach_process = DetachProcess::automatic;

  /// How long a start waits for the lock of a daemon that is just leaving before it says "already running".
  Timeout lock_timeout = {};

  Readiness readiness = Readiness::when_constructed;

  /// How long the caller waits for readiness; then the half-started daemon is taken down and the caller
  /// throws.
  Timeout ready_timeout = forever;

  SignalDelivery signal_delivery = SignalDelivery::in_wait;

  /// Fork although other threads run. They do not exist in the daemon, and what they had locked stays locked.
  bool allow_threads = false;

  ErrorHandler on_error = {};  ///< empty: one line on standard error

  /// How long a single cleanup may take. Then it is given up, the pidfile is removed, the fact is reported
  /// through `on_error` and the process ends with status 1. Without it another thread that ends meanwhile
  /// waits for a cleanup for five seconds at most (see `~DaemonContext`).
  Timeout cleanup_timeout = forever;

  /// Told in the caller while it waits for a lock or for readiness.
  Progress on_wait = {};
  /// Called in the caller with the daemon's pid, when that is ready and before the caller ends; all signals
  /// are blocked. What it writes to C and C++ streams is flushed; what it throws is dropped. Not called in
  /// the foreground.
  std::function<void(pid_t daemon)> on_launched = {};

  /// Whom the daemon becomes before it enters its working directory: names or numbers, looked up in the
  /// caller. Empty: nobody else; a user's own group. Root's supplementary groups are always given up, the
  /// change is verified, and HOME, USER and LOGNAME follow. Who is not root can only name himself, and keeps
  /// the groups and capabilities that he has. Pidfile and log files are opened before, and a pidfile whose
  /// directory the new user may not write is emptied at the end instead of removed.
  std::string user = {};
  std::string group = {};

  /// Whether the daemon gets the groups that `user` is a member of.
  bool initgroups = true;

  /// Whoever may read the pidfile can ask after the daemon, and hear why it refused a reload; and he can hold
  /// a start and a reload's outcome up with a read lock. 0600 keeps other users from all of it.
  mode_t pidfile_mode = 0644;

  /// The daemon's root directory; needs root. Users are looked up and all files of these options are opened
  /// before; `working_directory` lies inside. The pidfile is out of reach from there: at the end it is
  /// emptied, not removed.
  boost::filesystem::path chroot_directory = {};

  /// Called in the daemon before it changes its root directory and its user: to bind port 80, to open the key
  /// file. What it throws is thrown in the caller.
  std::function<void()> before_drop = {};

  /// No program that the daemon executes can gain privileges (PR_SET_NO_NEW_PRIVS).
  bool no_new_privileges = false;

  /// The daemon's environment, instead of the inherited one. HOME, USER and LOGNAME are added for `user`.
  std::optional<std::map<std::string, std::string>> environment = {};

  /// Made in the caller, in this order, before pidfile and log are opened. If the start fails, those that
  /// were not there before are removed.
  std::vector<Directory> create_directories = {};

  /// What the daemon gives up for good, in this order: all capabilities but some, files, system calls; see
  /// `daemonctx/confine.hpp`. They hold for one thread: in the foreground too there must be no other, in any
  /// case.
  std::vector<std::shared_ptr<Restriction>> restrictions = {};

  /// An open descriptor to which a line end is written when the daemon is ready, and that is then closed: the
  /// protocol of s6 (notification-fd) and OpenRC (ready=fd:N). With it `automatic` stays in the foreground.
  /// -1: none.
  int notify_descriptor = -1;

  /// Starts the service anew when it has crashed or hangs. No other thread may run, also in the foreground.
  std::optional<RespawnPolicy> respawn = {};
};

/// Checks all options as a whole. `DaemonContext` calls it before it changes anything.
/// \throws std::invalid_argument, naming the member and the reason.
DAEMONCTX_EXPORT void validate(const DaemonOptions& options);

}  // namespace daemonctx
