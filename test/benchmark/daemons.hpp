// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>
#include <vector>

#include "process.hpp"
#include "scopes.hpp"

namespace bench {

class Table;

/// A program that becomes a daemon: PROGRAM PIDFILE [name=value...]
struct Program {
  std::string name;
  Words words;  ///< the command line before PIDFILE

  Command command(const std::string& pidfile, const Words& options = {}) const;
};

/// The names of the programs in the table.
namespace names {
inline const std::string reference = "reference";
inline const std::string reference_cxx =
    "C with the C++ runtime";  // the reference, which also loads what every C++ program loads
inline const std::string subject = "daemonctx";
inline const std::string subject_static = "daemonctx static";
inline const std::string subject_fully_static = "daemonctx fully static";
inline const std::string libdaemon = "libdaemon";
inline const std::string daemon3 = "daemon(3)";
inline const std::string python = "python-daemon";
inline const std::string asio = "Asio";
inline const std::string poco = "POCO";
inline const std::string go_daemon = "go-daemon";
inline const std::string daemonize = "Rust's daemonize";
}  // namespace names

/// The reference, either subject, or a peer that is installed.
Program daemon_program(const std::string& name);
bool is_installed(const std::string& name);

/// Whether it is another project's program.
bool is_peer(const std::string& name);

/// Whether the caller exits before the daemon is ready, and nothing else tells that it is.
bool leaves_early(const std::string& name);

/// Prints which peers are not installed.
void list_missing_peers();

/// Starts a daemon and waits for its caller.
/// \return how long that took.
/// \throws WrongBehaviour unless the caller exits with 0.
double start(const Command& command);

/// Like `start`, for a program that leaves early: waits for the pidfile, its last step. Removes the pidfile
/// of an earlier daemon.
double start_until_pidfile(const Command& command, const std::string& pidfile);

/// The one daemon that runs. \throws WrongBehaviour if there is none, or more.
pid_t only_daemon();

/// Stops the one daemon by SIGTERM.
void stop_only_daemon();

}  // namespace bench
