// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/program_options.hpp>
#include <cstdint>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemonctx/controller.hpp"
#include "daemonctx/path.hpp"
#include "daemonctx/service.hpp"
#include "service/command_line.hpp"
#include "service/configuration.hpp"
#include "service/documents.hpp"
#include "service/waiting_display.hpp"

namespace daemonctx {

/// Carries out one command line of a service. settings.cpp has its option values, configuration_file.cpp
/// their file, actions.cpp its actions, run.cpp the rest.
class ServiceRun {
 public:
  explicit ServiceRun(Service& service);

  /// An action of every service.
  struct Action {
    std::string_view name;
    int (ServiceRun::*run)();
    const char* help;
  };

  /// The one with this name, or nullptr.
  static const Action* own_action(const std::string& name);

  /// Puts the options together. \throws std::logic_error if an option of the program has the name of another
  /// option.
  void prepare();

  /// Runs the action that the command line names. \return the exit code. \throws any error, for `report`.
  int operator()(int argc, const char* const* argv);

  /// Prints an error as one line on standard error; on standard output if `--oknodo` makes it a success.
  /// \return the exit code.
  int report(const std::exception_ptr& error) const;

 private:
  using Values = boost::program_options::variables_map;

  static const std::vector<Action>& actions();
  std::vector<Entry> action_texts() const;
  std::vector<Entry> signal_texts() const;
  int run_added(const ServiceAction& action);

  int start();
  int stop();
  int restart();
  int restart_if(bool it_runs);
  int try_restart();
  int do_nothing() const;
  int reload();
  int force_reload();
  int upgrade();
  int reopen();
  int status();
  int run();
  int configtest();
  int help();
  int completion();
  int manpage();
  int version();
  int launch();
  int launch_after(const StopResult& stopped);
  static bool lost_to_another(const std::exception& error);

  // Settings: values from command line, file and defaults.
  void take_options(const std::string& caption, const boost::program_options::options_description& options);
  static void check_names(const boost::program_options::options_description& group,
                          const boost::program_options::options_description& others);
  void choose_file();
  bool may_miss_file() const;
  std::uint64_t file_tag() const;
  std::optional<ConfigurationFile> read_file() const;
  std::optional<ConfigurationFile> reopen_file(DaemonContext& context) const;
  void configure(bool in_foreground);
  void reconfigure(DaemonContext& context);
  void begin_with_accepted(const DaemonContext& context);
  void keep_accepted(const DaemonContext& context) const noexcept;
  void report_in_daemon(std::string_view where) const noexcept;
  void apply(const std::optional<ConfigurationFile>& file);
  void accept(Configuration& next) const;
  void look_up_pidfile();
  void adopt_pidfile();
  Path pidfile_in(const Values& values) const;
  std::optional<StdioTarget> output() const;
  DaemonOptions daemon_options(bool in_foreground) const;
  void set_options(DaemonOptions& options) const;
  StopPolicy stop_policy() const;
  bool has(const char* option) const { return values().count(option) != 0; }
  bool is_on(const char* option) const { return has(option) && values()[option].as<bool>(); }
  std::string text(const char* option) const { return values()[option].as<std::string>(); }
  const Values& values() const { return configuration_.values; }

  // The command line.
  const ServiceAction* added_action(const std::string& name) const;
  void check_effects(const ServiceAction* added) const;
  void check_reloaded_file() const;
  std::string unknown_action_text() const;
  ServiceTexts texts() const;

  // Messages. `succeed` prints only with `--verbose`.
  std::string line(const std::string& text) const { return service_.name_ + ": " + text; }
  int fail(int code, const std::string& text) const;
  int print(const std::string& text) const;
  int report_no_change(int code, const std::string& text) const;
  std::string not_running_text() const;
  void succeed(const std::string& text) const;
  void tell(const StopResult& stopped) const;
  static std::string with_origin(const Configuration& configuration, const std::string& text);
  std::string with_origin(const std::exception& error) const;

  Service& service_;
  std::vector<OptionGroup> groups_;
  boost::program_options::options_description file_options_;
  boost::program_options::options_description all_options_;
  Invocation invocation_;
  std::string file_name_;                  // of the configuration file, absolute; empty: there is none
  std::optional<ConfigurationFile> file_;  // as it was accepted last
  Configuration configuration_;
  Path pidfile_;
  DaemonOptions options_;     // for the start
  bool has_monitor_ = false;  // whether the daemon has a monitor
  ErrorHandler on_error_;     // `DaemonOptions::on_error` of the daemon
};

}  // namespace daemonctx
