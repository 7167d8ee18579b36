// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/program_options/options_description.hpp>
#include <boost/program_options/variables_map.hpp>
#include <functional>
#include <string>

#include "daemonctx/daemon_context.hpp"
#include "daemonctx/export.hpp"

namespace daemonctx {

/// The command line of a service: `start`, `stop`, `restart`, `reload`, `reopen`, `status`, `run`, `help`,
/// `completion` and `manpage`, with the exit codes of the Linux Standard Base, the library's options, the
/// program's own options, and a configuration file.
///
/// Values come from the command line, then from the file that `--config` names, then from the defaults. In
/// the file a line reads `name = value`, after a line `[section]` for `section.name`. `#` begins a comment
/// anywhere in a line, and quotes are part of the value. An error in the file is reported with file and line.
/// `stop`, `reload` and `status` use only the options, from file and command line, that name the daemon and,
/// for `stop`, the time to wait. A broken file does not stop them. A reload applies the program's own
/// options; the library's options stay those of the start. A reload opens the log files again, and so does
/// `reopen`: by the signal that is mapped to `Action::reopen_output`, or else by SIGUSR1.
///
/// Not part of the core: link `daemonctx-service`, which needs Boost.Program_options. Reentrant.
class DAEMONCTX_EXPORT Service {
 public:
  using Values = boost::program_options::variables_map;

  /// \param name for messages, and for the default pidfile: /run/NAME.pid for root, $XDG_RUNTIME_DIR/NAME.pid
  ///   for others.
  /// \param options the defaults, which the command line and the file override. An empty `pidfile` means the
  ///   default pidfile.
  /// \param body does the work in the daemon, and returns the exit code. An exception becomes one line and
  ///   exit code 1. Before the daemon is ready the line goes to the user's terminal, afterwards to the log.
  /// \throws std::invalid_argument if `name` is empty or has a slash.
  Service(std::string name, DaemonOptions options, std::function<int(DaemonContext&)> body);

  /// The program's own options, for command line and file: add them here.
  boost::program_options::options_description& options() noexcept { return own_options_; }

  /// `--version` prints the name and `text`. Without this call there is no `--version`.
  void version(std::string text) { version_ = std::move(text); }

  /// `configure` gets the values of all options. It runs in the caller before a start or a restart changes
  /// anything, and in the daemon at each reload, after the file was read again. An exception from `configure`
  /// refuses the values: a start fails, and a running daemon stays as it was if `configure` changed nothing
  /// before.
  ///
  /// Variables that options are bound to (`po::value(&x)`) are set after `configure` has accepted the values.
  /// Every user who may read the pidfile (`PidfileOptions::mode`) can read the text of a refusal.
  ///
  /// The body may replace this reload with its own, by `DaemonContext::on_reload`.
  void on_configure(std::function<void(const Values&)> configure) { configure_ = std::move(configure); }

  /// Runs the action that the command line names. Never throws: an error becomes one line on standard error.
  ///
  /// \return in the daemon, and for `run`, the result of the body; otherwise the exit code:
  /// - 0: done. `status`: the daemon runs, or is starting.
  /// - 1: failed, or already running. `status`: the daemon is dead, and its pidfile is still there.
  /// - 2: wrong arguments, or values that `configure` refuses.
  /// - 3: the daemon does not support reload. `status`: not running.
  /// - 4: no permission. `status`: unknown.
  /// - 6: the configuration file is wrong or missing.
  /// - 7: not running.
  /// - With `--oknodo`: 0 if already running; for `stop` and `reload` also 0 if not running.
  /// \note A `start` that detaches does not return in the caller, unless it fails.
  int main(int argc, const char* const* argv);

 private:
  friend class ServiceRun;

  std::string name_;
  DaemonOptions daemon_options_;
  std::function<int(DaemonContext&)> body_;
  boost::program_options::options_description own_options_;
  std::string version_;
  std::function<void(const Values&)> configure_;
};

}  // namespace daemonctx
