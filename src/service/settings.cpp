// SPDX-License-Identifier: BSL-1.0

// What a service is told: by its command line, its configuration file, and its defaults.

#include <unistd.h>

#include <cstdlib>

#include "service/configuration.hpp"
#include "service/run.hpp"

namespace daemonctx {
namespace {

namespace fs = boost::filesystem;
namespace po = boost::program_options;
using namespace std::chrono_literals;

// After it, whoever has been killed is gone; the time is for the system to clear up.
constexpr StopStep last_step{SIGKILL, 5s};

fs::path default_pidfile(const std::string& name) {
  if (::geteuid() == 0) return "/run/" + name + ".pid";
  const char* directory = std::getenv("XDG_RUNTIME_DIR");
  return directory != nullptr && *directory == '/' ? fs::path(directory) / (name + ".pid") : fs::path();
}

}  // namespace

ServiceRun::ServiceRun(Service& service)
    : service_(service), invocation_{{}, {}, po::parsed_options(nullptr)} {
  if (service.daemon_options_.pidfile.empty()) {
    service.daemon_options_.pidfile = default_pidfile(service.name_);
  }
  groups_.push_back(command_options(!service.version_.empty()));
  groups_.push_back(setting_options(service.daemon_options_.pidfile));
  if (!service.own_options_.options().empty()) groups_.push_back(service.own_options_);
  for (const auto& group : groups_) all_options_.add(group);
  for (std::size_t group = 1; group < groups_.size(); ++group) file_options_.add(groups_[group]);
}

void ServiceRun::configure() {
  values_ = read_values(invocation_, file_options_, Reading::strict);
  if (service_.configure_) {
    try {
      service_.configure_(values_);
    } catch (const std::exception& error) {
      if (invocation_.file.empty()) throw Usage(error.what());
      throw ConfigurationError(error.what());
    }
  }
  look_up_pidfile();
}

void ServiceRun::reconfigure() const {
  const auto values = read_values(invocation_, file_options_, Reading::strict);
  if (service_.configure_) service_.configure_(values);
}

// Where the running daemon is concerned, it does not matter what else is wrong with the file.
void ServiceRun::look_up_pidfile() {
  if (!has("pidfile")) values_ = read_values(invocation_, file_options_, Reading::lenient);
  pidfile_ = has("pidfile") ? fs::path(text("pidfile")) : service_.daemon_options_.pidfile;
  if (pidfile_.empty()) throw Usage("there is no default pidfile for this user: name one with --pidfile");
}

StopPolicy ServiceRun::stop_policy() const {
  StopPolicy policy = Controller::default_stop_policy();
  if (has("stop-timeout")) policy.front().wait = values_["stop-timeout"].as<Seconds>().value;
  policy.back() = last_step;
  return policy;
}

DaemonOptions ServiceRun::daemon_options(bool in_foreground) const {
  DaemonOptions options = service_.daemon_options_;
  options.pidfile = pidfile_;
  if (has("chdir")) options.working_directory = text("chdir");
  if (has("user")) options.user = text("user");
  if (has("group")) options.group = text("group");
  if (has("umask")) options.umask = values_["umask"].as<Mode>().value;
  if (has("ready-timeout")) options.ready_timeout = values_["ready-timeout"].as<Seconds>().value;
  if (in_foreground) options.detach_process = DetachProcess::never;
  if (in_foreground) options.stdio = {};  // the terminal, unless somebody asked for something else just now
  if (has("log")) options.stdio.out = options.stdio.err = StdioTarget::file(text("log"));
  return options;
}

}  // namespace daemonctx
