// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/program_options/options_description.hpp>
#include <boost/program_options/positional_options.hpp>
#include <boost/program_options/variables_map.hpp>
#include <functional>
#include <string>
#include <vector>

#include "daemonctx/controller.hpp"
#include "daemonctx/daemon_context.hpp"
#include "daemonctx/export.hpp"

namespace daemonctx {

/// The values of a service's options. Their names are long names, without hyphens in front.
using ServiceValues = boost::program_options::variables_map;

/// An action that a program adds to those of `Service`, as `jobd submit FILE`. Everything but `name` and
/// `run` may be empty.
struct ServiceAction {
  std::string name;
  std::string text = {};  ///< for help, completion and man page

  /// Does the action in the process that the user started. \return the exit code. An exception becomes one
  /// line and exit code 1.
  std::function<int(const ServiceValues& values)> run;

  boost::program_options::options_description options = {};           ///< of this action alone
  boost::program_options::positional_options_description words = {};  ///< which of them need no name
};

/// Whether a service runs without the file that `Service::config_file` names.
enum class MissingFile { is_refused, means_defaults };

/// The command line of a service: `start`, `stop`, `restart`, `try-restart`, `reload`, `force-reload`,
/// `upgrade`, `reopen`, `status`, `run`, `configtest`, `help`, `completion` and `manpage`, the actions that
/// the program adds, the library's options, the program's own options, and a configuration file.
///
/// Values come from the command line, then from the configuration file, then from the defaults. In the file a
/// line reads `name = value`, after a line `[section]` for `section.name`. `#` begins a comment anywhere in a
/// line, and quotes are part of the value. A refusal names file and line of the value.
///
/// An option that has no effect on an action is refused. `stop`, `reload`, `reopen` and `status` use only the
/// options, from file and command line, that name the daemon and, for `stop`, the time to wait. A broken file
/// does not stop them.
///
/// A reload reads the configuration file again and applies the program's own options; the library's options
/// stay those of the start. With `respawn`, the next worker has what was accepted last, whatever the file
/// holds by then, and the monitor opens a file that only the starter may read. A reload opens the log files
/// again, and so does `reopen`: by the signal that is mapped to `Action::reopen_output`, or else by SIGUSR1.
/// `upgrade` takes the one that is mapped to `Action::upgrade`, or else SIGUSR2.
///
/// Not part of the core: link `daemonctx-service`, which needs Boost.Program_options. Reentrant.
class DAEMONCTX_EXPORT Service {
 public:
  using Values = ServiceValues;

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

  /// The configuration file where the command line names none with `--config`. `main` refuses a relative
  /// path: a reload would look for it in another directory.
  void config_file(Path file, MissingFile missing = MissingFile::is_refused);

  /// What the service does, for help and man page: a sentence or more.
  void description(std::string text) { description_ = std::move(text); }

  /// `--version` prints the name and `text`. Without this call there is no `--version`.
  void version(std::string text) { version_ = std::move(text); }

  /// How `stop` and `restart` stop the daemon, unless the user gives `--stop-timeout`. A monitor kills its
  /// worker a fifth of that time, at most two seconds, before the stop would kill the monitor, unless
  /// `RespawnPolicy::stop_timeout` is set.
  void stop_policy(StopPolicy policy) { stop_policy_ = std::move(policy); }

  /// \throws std::invalid_argument for a name that is empty, taken, or begins with a hyphen, and for an empty
  ///   `run`.
  void add_action(ServiceAction action);

  /// `configure` gets the values of all options. It runs in the caller before a start or a restart changes
  /// anything, in the daemon at each reload, after the file was read again, and in each worker that follows
  /// one that has reloaded; if it refuses then, the worker has the values of the start. An exception from
  /// `configure` refuses the values: a start fails, and a running daemon stays as it was if `configure`
  /// changed nothing before. If the text of the exception begins with the name of an option and a colon, the
  /// refusal names the place of that option's value.
  ///
  /// Variables that options are bound to (`po::value(&x)`) are set after `configure` has accepted the values.
  /// A reload does both in the thread that runs signal actions (`SignalDelivery`).
  /// Every user who may read the pidfile (`PidfileOptions::mode`) can read the text of a refusal.
  ///
  /// The body may replace this reload with its own, by `DaemonContext::on_reload`.
  void on_configure(std::function<void(const Values&)> configure) { configure_ = std::move(configure); }

  /// `set` makes options of the daemon from values: sockets, directories, user. It runs once in the caller,
  /// after `configure` and the library's options, before a start or a restart changes anything. It must not
  /// change `pidfile`. An exception refuses the values.
  void on_options(std::function<void(const Values&, DaemonOptions&)> set) { set_options_ = std::move(set); }

  /// Runs the action that the command line names. Never throws: an error becomes one line on standard error.
  ///
  /// \return in the daemon, and for `run`, the result of the body; for an added action its own; otherwise the
  ///   exit code:
  /// - 0: done. `status`: the daemon runs, or is starting.
  /// - 1: failed, or already running. `status`: the daemon is dead, and its pidfile is still there.
  /// - 2: wrong arguments, or values that the program refuses.
  /// - 3: the daemon does not support reload. `status`: not running.
  /// - 4: no permission. `status`: unknown.
  /// - 6: the configuration file is wrong or missing.
  /// - 7: not running.
  /// - 150: `stop` ended the daemon, but a signal killed it.
  ///
  /// These are the codes of the Linux Standard Base, with one difference: there, `start` of a running and
  /// `stop` of a stopped service are successes. `--oknodo` makes them so.
  /// \note A `start` that detaches does not return in the caller, unless it fails.
  int main(int argc, const char* const* argv);

 private:
  friend class ServiceRun;

  std::string name_;
  DaemonOptions daemon_options_;
  std::function<int(DaemonContext&)> body_;
  boost::program_options::options_description own_options_;
  Path config_file_;
  MissingFile missing_file_ = MissingFile::is_refused;
  std::string description_;
  std::string version_;
  StopPolicy stop_policy_;
  std::vector<ServiceAction> actions_;
  std::function<void(const Values&)> configure_;
  std::function<void(const Values&, DaemonOptions&)> set_options_;
};

}  // namespace daemonctx
