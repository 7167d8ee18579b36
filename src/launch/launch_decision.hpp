// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <string>

#include "daemonctx/launch_mode.hpp"
#include "daemonctx/timeout.hpp"

namespace daemonctx {

/// What a process can see of who started it. That its parent is process 1 says nothing: in a container, under
/// a subreaper or after a double fork the parent is somebody else, or nobody.
struct Surroundings {
  pid_t pid = 0;
  std::string notify_socket = {};
  std::string systemd_exec_pid = {};
  std::string listen_pid = {};
  bool stdin_is_socket = false;
  bool is_notified = false;  ///< a descriptor to tell readiness by is among the options
  std::string listen_fds = {};
  std::string listen_fdnames = {};
  std::string watchdog_pid = {};
  std::string watchdog_usec = {};

  /// Zero: the manager has no watchdog, or it watches another process.
  Timeout watchdog_timeout() const noexcept;

  /// LISTEN_FDS speaks of this process.
  bool passes_descriptors() const { return listen_pid == std::to_string(pid) && !listen_fds.empty(); }

  static Surroundings look();

  /// Takes away what only this process was to read, so that no program that it starts does.
  static void clear_environment() noexcept;
};

struct LaunchDecision {
  LaunchMode mode;
  std::string reason;
};

/// \throws DaemonError (`choose_mode`) if process 1 is told to detach: its end is the end of its container.
LaunchDecision decide_launch(DetachProcess wish, const Surroundings& surroundings);

}  // namespace daemonctx
