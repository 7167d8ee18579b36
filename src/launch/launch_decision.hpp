// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <string>

#include "daemonctx/launch_mode.hpp"
#include "daemonctx/path.hpp"
#include "daemonctx/timeout.hpp"

namespace daemonctx {

/// What a process can see of the program that started it. A parent with pid 1 says nothing: in a container,
/// under a subreaper or after a double fork the parent is another process, or none.
struct Surroundings {
  pid_t pid = 0;
  std::string notify_socket = {};
  std::string notify_fault = {};  ///< what is wrong with NOTIFY_SOCKET, which then counts as unset
  std::string systemd_exec_pid = {};
  std::string listen_pid = {};
  bool stdin_is_socket = false;
  bool is_notified = false;  ///< `StartOptions::notify_descriptor` is given
  std::string listen_fds = {};
  std::string listen_fdnames = {};
  std::string watchdog_pid = {};
  std::string watchdog_usec = {};
  std::string pidfile = {};   ///< PIDFILE: the pidfile that the manager reads after a fork
  bool is_ancestors = false;  ///< NOTIFY_SOCKET was an ancestor's, and counts as unset

  /// Drops NOTIFY_SOCKET if SYSTEMD_EXEC_PID names another process. An ancestor is then the manager's
  /// service, and the socket is meant for that ancestor.
  void drop_ancestors_socket();

  /// `forever`: the manager has no watchdog, or it watches another process.
  Timeout watchdog_timeout() const noexcept;

  /// Whether LISTEN_FDS is set and LISTEN_PID names this process.
  bool passes_descriptors() const { return listen_pid == std::to_string(pid) && !listen_fds.empty(); }

  static Surroundings look();

  /// Removes the variables that only this process was to read, so that no program that it starts reads them.
  static void clear_environment() noexcept;
};

struct LaunchDecision {
  LaunchMode mode;
  std::string reason;
};

/// \param pidfile that of the daemon, absolute.
/// \throws DaemonError (`choose_mode`) if process 1 is told to detach: its container ends with process 1.
LaunchDecision decide_launch(DetachProcess wish, const Surroundings& surroundings, const Path& pidfile = {});

}  // namespace daemonctx
