// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/program_options.hpp>
#include <exception>
#include <optional>
#include <string>
#include <vector>

#include "daemonctx/controller.hpp"
#include "daemonctx/path.hpp"
#include "daemonctx/service.hpp"
#include "service/command_line.hpp"
#include "service/documents.hpp"
#include "service/waiting_display.hpp"

namespace daemonctx {

/// Carries out one command line of a service. settings.cpp has its option values, run.cpp its actions.
class ServiceRun {
 public:
  explicit ServiceRun(Service& service);

  /// Puts the options together. \throws std::logic_error if an option of the program has the name of another
  /// option.
  void prepare();

  /// Runs the action that the command line names. \return the exit code. \throws any error, for `report`.
  int operator()(int argc, const char* const* argv);

  /// Prints an error as one line on standard error; on standard output if `--oknodo` makes it a success.
  /// \return the exit code.
  int report(const std::exception_ptr& error) const;

 private:
  struct Action;
  static const std::vector<Action>& actions();
  int print_document(std::string (*document)(const ServiceTexts&)) const;

  int start();
  int stop();
  int restart();
  int reload();
  int reopen();
  int status();
  int run();
  int help();
  int completion();
  int manpage();
  int version();
  int launch(bool in_foreground);
  int launch_after(const StopResult& stopped);

  // Settings: values from command line, file and defaults.
  void configure();
  void reconfigure() const;
  void accept(boost::program_options::variables_map& values) const;
  void look_up_pidfile();
  void adopt_pidfile();
  Path pidfile_in(const boost::program_options::variables_map& values) const;
  bool is_on_command_line(const std::string& option) const;
  std::optional<StdioTarget> output() const;
  DaemonOptions daemon_options(bool in_foreground) const;
  StopPolicy stop_policy() const;
  bool has(const char* option) const { return values_.count(option) != 0; }
  bool is_on(const char* option) const { return has(option) && values_[option].as<bool>(); }
  std::string text(const char* option) const { return values_[option].as<std::string>(); }

  // Messages. `succeed` prints only with `--verbose`.
  std::string line(const std::string& text) const { return service_.name_ + ": " + text; }
  int fail(int code, const std::string& text) const;
  int print(const std::string& text) const;
  int report_no_change(int code, const std::string& text) const;
  void succeed(const std::string& text) const;
  void tell(const StopResult& stopped) const;
  std::string unknown_action_text() const;

  Service& service_;
  std::vector<boost::program_options::options_description> groups_;
  boost::program_options::options_description file_options_;
  boost::program_options::options_description all_options_;
  Invocation invocation_;
  boost::program_options::variables_map values_;
  Path pidfile_;
};

}  // namespace daemonctx
