// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/program_options/options_description.hpp>
#include <boost/program_options/variables_map.hpp>
#include <functional>
#include <string>

#include "daemonctx/daemon_context.hpp"
#include "daemonctx/export.hpp"

namespace daemonctx {

/// The command line of a service: `start`, `stop`, `restart`, `reload`, `status`, `run` and `help`, with the
/// exit codes of the Linux Standard Base, the library's options, options of the program's own, and a
/// configuration file.
///
/// Values come from the command line, then from the file that `--config` names, then from the defaults. In
/// the file a line reads `name = value`, after a line `[section]` for `section.name`; `#` begins a comment
/// wherever it stands, and quotes are part of the value. What is wrong with it is said with file and line.
/// `stop`, `reload` and `status` take from it (and from the command line) what names the daemon and how long
/// to wait, and work with a broken file, too. A reload applies the program's own options; the library's are
/// those of the start.
///
/// Not part of the core: link `daemonctx-service`, which needs Boost.Program_options. Reentrant.
class DAEMONCTX_EXPORT Service {
 public:
  using Values = boost::program_options::variables_map;

  /// \param name in messages, and for the default pidfile: /run/NAME.pid for root, $XDG_RUNTIME_DIR/NAME.pid
  ///   for others.
  /// \param options what the service starts with unless command line or file say otherwise. An empty pidfile
  ///   means the default one.
  /// \param body does the work; runs in the daemon, and returns the exit status. What it throws before the
  ///   daemon is ready is one line on the user's terminal, afterwards one in the log; the status is 1.
  Service(std::string name, DaemonOptions options, std::function<int(DaemonContext&)> body);

  /// To add options of the program's own, for command line and file.
  boost::program_options::options_description& options() noexcept { return own_options_; }

  /// `--version` prints the name and this text. Without it there is no such option.
  void version(std::string text) { version_ = std::move(text); }

  /// Given the values of all options: in the caller, before a start or a restart touches anything; and in the
  /// daemon at each reload, after the file was read again. What `configure` throws refuses them: then there
  /// is no start, and a running daemon stays as it was if `configure` changes nothing before it throws.
  ///
  /// Variables that options are bound to (`po::value(&x)`) are set after `configure` has accepted the values.
  /// The text of a refusal can be read by whoever may read the pidfile (`DaemonOptions::pidfile_mode`).
  ///
  /// The body may replace this reload with its own, by `DaemonContext::on_reload`.
  void on_configure(std::function<void(const Values&)> configure) { configure_ = std::move(configure); }

  /// Does what the command line says. Never throws: what is wrong becomes one line on standard error.
  ///
  /// \return 0: done; and of `status`: it runs, or is starting 1: failed; already running; and of `status`:
  ///   dead, and its pidfile is still there 2: wrong arguments, or values that `configure` refuses 3: the
  ///   daemon does not reload; and of `status`: not running 4: no permission; and of `status`: unknown 6: the
  ///   configuration file is wrong or not there 7: not running `--oknodo`: already running, and not running
  ///   for `stop` and `reload`, are 0. In the daemon, and of `run`, what the body returned.
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
