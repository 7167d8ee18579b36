// SPDX-License-Identifier: BSL-1.0

// A complete daemon: writes a line to its log every so often, re-reads its configuration on SIGHUP and stops
// cleanly.
//
//   heartbeat start [--pidfile FILE] [--log FILE] [--interval SECONDS] [--config FILE]
//   heartbeat stop  [--pidfile FILE]

#include <boost/filesystem/operations.hpp>
#include <boost/program_options.hpp>
#include <cmath>
#include <cstdlib>
#include <daemonctx/controller.hpp>
#include <daemonctx/daemon_context.hpp>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <string>

namespace {

namespace fs = boost::filesystem;
namespace po = boost::program_options;
using daemonctx::DaemonContext;
using daemonctx::StdioTarget;

enum ExitStatus { failed = 1, wrong_usage = 2, not_running = 7 };  // as in the LSB

struct Usage : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Settings {
  std::string message;
  double interval = 0;

  std::chrono::nanoseconds pause() const {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::duration<double>(interval));
  }
};

po::options_description setting_options() {
  po::options_description options("Settings, also in the configuration file");
  options.add_options()("interval", po::value<double>()->default_value(1, "1"), "seconds between two beats")(
      "message", po::value<std::string>()->default_value("beat"), "what a beat says");
  return options;
}

po::options_description command_options() {
  po::options_description options("Options");
  options.add_options()("pidfile", po::value<std::string>()->default_value("/tmp/heartbeat.pid"),
                        "the pidfile")("log", po::value<std::string>()->default_value("/tmp/heartbeat.log"),
                                       "the log")("config", po::value<std::string>(),
                                                  "configuration file, read again on SIGHUP");
  return options;
}

// The command line comes before the file, and that before the defaults.
Settings read_settings(const po::parsed_options& command_line) {
  po::variables_map values;
  po::store(command_line, values);
  if (values.count("config") != 0) {
    const auto file = values["config"].as<std::string>();
    std::ifstream in(file);
    if (!in) throw std::runtime_error("cannot open the configuration file \"" + file + '"');
    po::store(po::parse_config_file(in, setting_options()), values);
  }
  const Settings settings{values["message"].as<std::string>(), values["interval"].as<double>()};
  if (!(settings.interval > 0 && settings.interval <= 86400)) {
    throw std::runtime_error("interval: must be above 0 and at most 86400 seconds");
  }
  return settings;
}

int beat(DaemonContext& context, const po::parsed_options& command_line, Settings settings) {
  context.on_reload([&] {
    settings = read_settings(command_line);  // if it throws, the old settings stay
    std::cout << "configuration read: " << settings.message << std::endl;
  });
  context.on_exit([] { std::cout << "stopped" << std::endl; });
  std::cout << "started, pid " << context.pid() << std::endl;
  context.notify_ready();
  do std::cout << settings.message << std::endl;
  while (!context.wait_for(settings.pause()));
  return EXIT_SUCCESS;
}

int start(const po::variables_map& values, const po::parsed_options& command_line) {
  const Settings settings = read_settings(command_line);  // what is wrong with them is said on the terminal
  const auto log = StdioTarget::file(values["log"].as<std::string>());
  return daemonctx::run({.pidfile = values["pidfile"].as<std::string>(),
                         .stdio = {.out = log, .err = log},
                         .lock_timeout = std::chrono::seconds(1),
                         .readiness = daemonctx::Readiness::when_notified},
                        [&](DaemonContext& context) { return beat(context, command_line, settings); });
}

int stop(const po::variables_map& values) {
  try {
    daemonctx::Controller(values["pidfile"].as<std::string>()).stop();
    return EXIT_SUCCESS;
  } catch (const std::system_error& error) {
    if (error.code() != std::errc::no_such_process) throw;
    std::cerr << "heartbeat: Not running\n";
    return not_running;
  }
}

// Before any change of directory.
void make_absolute(po::parsed_options& command_line) {
  for (auto& option : command_line.options) {
    if (option.string_key == "config") option.value.front() = fs::absolute(option.value.front()).string();
  }
}

int act(int argc, char** argv) {
  const auto options = command_options().add(setting_options());
  if (argc < 2) throw Usage("a command is missing (start or stop)");
  const std::string command = argv[1];
  if (command == "help" || command == "--help") {
    std::cout << "usage: heartbeat start|stop [option...]\n" << options;
    return EXIT_SUCCESS;
  }
  if (command != "start" && command != "stop")
    throw Usage("unknown command \"" + command + "\" (start or stop)");
  const po::positional_options_description no_words;
  auto command_line = po::command_line_parser(argc - 1, argv + 1).options(options).positional(no_words).run();
  make_absolute(command_line);
  po::variables_map values;
  po::store(command_line, values);
  return command == "start" ? start(values, command_line) : stop(values);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return act(argc, argv);
  } catch (const Usage& error) {
    std::cerr << "heartbeat: " << error.what() << '\n';
    return wrong_usage;
  } catch (const po::error& error) {
    std::cerr << "heartbeat: " << error.what() << '\n';
    return wrong_usage;
  } catch (const std::exception& error) {
    std::cerr << "heartbeat: " << error.what() << '\n';
    return failed;
  }
}
