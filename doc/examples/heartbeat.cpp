// SPDX-License-Identifier: BSL-1.0

// A complete service: writes a line to its log every so often, reads its configuration again on
// `heartbeat reload` and stops cleanly. `heartbeat help` says what else it understands.

#include <unistd.h>

#include <boost/program_options.hpp>
#include <cstdlib>
#include <daemonctx/service.hpp>
#include <filesystem>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;
namespace po = boost::program_options;
using daemonctx::DaemonContext;
using daemonctx::StdioTarget;

struct Settings {
  std::string message;
  std::chrono::nanoseconds interval = {};
};

Settings read(const daemonctx::Service::Values& values) {
  const double seconds = values["interval"].as<double>();
  if (!(seconds > 0 && seconds <= 86400)) {
    throw std::runtime_error("interval: must be above 0 and at most 86400 seconds");
  }
  return {values["message"].as<std::string>(),
          std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::duration<double>(seconds))};
}

int beat(DaemonContext& context, const Settings& settings) {
  context.on_exit([] { std::cout << "stopped" << std::endl; });
  std::cout << "started, pid " << context.pid() << std::endl;  // on the terminal
  context.notify_ready();                                      // after this, output goes to the log
  do std::cout << settings.message << std::endl;
  while (!context.wait_for(settings.interval));
  return 0;
}

// The directory that an environment variable names. Empty if the variable is unset. A relative path counts as
// unset.
fs::path directory_in(const char* variable) {
  const char* value = std::getenv(variable);
  return value != nullptr && *value == '/' ? fs::path(value) : fs::path();
}

struct Places {
  fs::path config = "/etc/heartbeat.conf";
  fs::path pidfile = "/run/heartbeat.pid";
  fs::path log = "/var/log/heartbeat.log";
  std::vector<daemonctx::Directory> directories = {};  // to be created
};

// Root's files are where administrators look for them. The files of other users are in directories of their
// own, by the XDG Base Directory Specification: in /tmp another user could have made them first.
Places default_places() {
  if (::geteuid() == 0) return {};
  const fs::path home = directory_in("HOME");
  fs::path state = directory_in("XDG_STATE_HOME");
  // A system user's home may be "/".
  const bool may_create = !state.empty() || ::access(home.c_str(), W_OK) == 0;
  if (state.empty()) state = home / ".local/state";
  state /= "heartbeat";
  const fs::path runtime = directory_in("XDG_RUNTIME_DIR");
  fs::path config = directory_in("XDG_CONFIG_HOME");
  if (config.empty()) config = "/" / home / ".config";
  Places places{config / "heartbeat.conf", (runtime.empty() ? state : runtime) / "heartbeat.pid",
                state / "heartbeat.log"};
  if (may_create) places.directories = {{.path = state, .mode = 0700}};
  return places;
}

}  // namespace

// tag::program[]
int main(int argc, char** argv) {
  Settings settings;
  const Places places = default_places();  // the user's own, not /tmp
  const auto log = StdioTarget::file(places.log);
  daemonctx::Service service("heartbeat",
                             {.pidfile = places.pidfile,
                              .stdio = {.out = log, .err = log},
                              .create_directories = places.directories,
                              .readiness = daemonctx::Readiness::when_notified},
                             [&](DaemonContext& context) { return beat(context, settings); });
  service.options().add_options()("interval", po::value<double>()->default_value(1, "1"),
                                  "seconds between two beats");
  service.options().add_options()("message", po::value<std::string>()->default_value("beat"),
                                  "what a beat says");
  service.on_configure([&](const auto& values) { settings = read(values); });  // throws: the old ones stay
  service.config_file(places.config, daemonctx::MissingFile::means_defaults);
  service.description("Writes a line to its log every so often.");
  service.version("1.0");
  return service.main(argc, argv);
}
// end::program[]
