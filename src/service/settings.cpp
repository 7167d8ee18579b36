// SPDX-License-Identifier: BSL-1.0

// The settings of a service, from its command line, its configuration file, and its defaults.

#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <boost/filesystem/operations.hpp>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <set>
#include <stdexcept>

#include "base/one_line.hpp"
#include "output/journal_stream.hpp"
#include "posix/signals.hpp"
#include "service/configuration.hpp"
#include "service/report.hpp"
#include "service/run.hpp"

namespace daemonctx {
namespace {

namespace fs = boost::filesystem;
namespace po = boost::program_options;

Path default_pidfile(const std::string& name) {
  if (::geteuid() == 0) return "/run/" + name + ".pid";
  const char* directory = std::getenv("XDG_RUNTIME_DIR");
  return directory != nullptr && *directory == '/' ? Path(directory) / (name + ".pid") : Path();
}

// Whether a service manager started this process that waits for no message of it.
bool is_started_without_socket() {
  const auto names_this_process = [](const char* variable) {
    const char* value = std::getenv(variable);
    return value != nullptr && value == std::to_string(::getpid());
  };
  const char* socket = std::getenv("NOTIFY_SOCKET");
  const bool has_socket = socket != nullptr && (*socket == '/' || *socket == '@') &&
                          std::strlen(socket) < sizeof(sockaddr_un::sun_path);
  return !has_socket && ::getpid() != 1 &&
         (names_this_process("SYSTEMD_EXEC_PID") || names_this_process("LISTEN_PID"));
}

// Lines on the terminal and in the log begin with the same name. The place "service" adds nothing to it.
void say(const std::string& name, const std::exception_ptr& error, std::string_view where) {
  const std::string place = where.empty() || where == "service" ? "" : std::string(where) + ": ";
  posix::NoWriteSignal scope;
  std::cerr.clear();  // standard error may be writable again
  std::cerr << error_prefix(STDERR_FILENO) << one_line(name + ": " + place + message_of(error)) << std::endl;
  scope.failed(std::cerr ? 0 : EPIPE);
}

// Refuse a name that occurs twice: Boost would call it ambiguous only when it is used.
void check_names(const std::vector<po::options_description>& groups) {
  std::set<std::string> names = {"action", "excess"};
  for (const auto& group : groups) {
    for (const auto& option : group.options()) {
      if (names.insert(option->long_name()).second) continue;
      throw std::logic_error("the option \"" + option->long_name() + "\" is the library's own");
    }
  }
}

}  // namespace

ServiceRun::ServiceRun(Service& service)
    : service_(service), invocation_{{}, {}, po::parsed_options(nullptr)} {}

void ServiceRun::prepare() {
  Service& service = service_;
  if (service.daemon_options_.pidfile.empty()) {
    service.daemon_options_.pidfile = default_pidfile(service.name_);
  }
  groups_.push_back(command_options(!service.version_.empty()));
  groups_.push_back(setting_options(service.daemon_options_.pidfile));
  if (!service.own_options_.options().empty()) groups_.push_back(service.own_options_);
  check_names(groups_);
  for (const auto& group : groups_) all_options_.add(group);
  for (std::size_t group = 1; group < groups_.size(); ++group) file_options_.add(groups_[group]);
}

void ServiceRun::configure() {
  values_ = read_values(invocation_, file_options_, Reading::strict);
  adopt_pidfile();
  try {
    accept(values_);
  } catch (const std::exception& error) {  // the source of the value is not known here
    throw UsageError(error.what());
  }
}

// Call `configure_` before `po::notify`: if it refuses, no variable that an option is bound to has changed.
void ServiceRun::accept(po::variables_map& values) const {
  if (service_.configure_) service_.configure_(values);
  po::notify(values);
}

// Runs in the daemon.
void ServiceRun::reconfigure() const {
  auto values = read_values(invocation_, file_options_, Reading::strict);
  if (pidfile_in(values) != pidfile_) {
    throw std::runtime_error("pidfile: is \"" + pidfile_.native() + "\" as long as the daemon runs");
  }
  accept(values);
}

// A wrong line in the file must not keep the operator from the running daemon. With `--pidfile` the file may
// even be missing.
void ServiceRun::look_up_pidfile() {
  try {
    values_ = read_values(invocation_, file_options_, Reading::lenient);
  } catch (const ConfigurationError&) {
    if (!has("pidfile")) throw;
  }
  adopt_pidfile();
}

void ServiceRun::adopt_pidfile() {
  pidfile_ = pidfile_in(values_);
  if (pidfile_.empty())
    throw UsageError("there is no default pidfile for this user: name one with --pidfile");
  boost::system::error_code ignored;
  if (invocation_.file.empty() || !fs::equivalent(invocation_.file, pidfile_.native(), ignored)) return;
  // Refuse it: a daemon that reads and closes its own pidfile loses its locks.
  throw UsageError("the configuration file is the pidfile");
}

Path ServiceRun::pidfile_in(const po::variables_map& values) const {
  return values.count("pidfile") == 0 ? service_.daemon_options_.pidfile
                                      : Path(values["pidfile"].as<std::string>());
}

StopPolicy ServiceRun::stop_policy() const {
  if (!has("stop-timeout")) return daemonctx::stop_policy();
  return daemonctx::stop_policy(values_["stop-timeout"].as<Seconds>().value);
}

bool ServiceRun::is_on_command_line(const std::string& option) const {
  const auto& given = invocation_.command_line.options;
  return std::any_of(given.begin(), given.end(), [&](const auto& each) { return each.string_key == option; });
}

std::optional<StdioTarget> ServiceRun::output() const {
  const bool to_file = has("log");
  const bool to_syslog = is_on("syslog");
  if (!to_file && !to_syslog) return {};
  const bool prefers_file = is_on_command_line("log");
  if (to_file && to_syslog && prefers_file == is_on_command_line("syslog")) {
    throw UsageError("the output can go to a log or to syslog, not to both");
  }
  if (to_file && (prefers_file || !to_syslog)) return StdioTarget::file(text("log"));
  return StdioTarget::syslog(service_.name_);
}

DaemonOptions ServiceRun::daemon_options(bool in_foreground) const {
  DaemonOptions options = service_.daemon_options_;
  options.pidfile = pidfile_;
  if (has("chdir")) options.working_directory = text("chdir");
  if (has("user")) options.user = text("user");
  if (has("group")) options.group = text("group");
  if (has("umask")) options.umask = values_["umask"].as<Mode>().value;
  if (has("ready-timeout")) options.ready_timeout = values_["ready-timeout"].as<Seconds>().value;
  if (!options.on_error)
    options.on_error = [name = service_.name_](const auto& error, std::string_view where) {
      say(name, error, where);
    };
  if (is_on("respawn")) options.respawn = true;
  if (has("notify-fd")) options.start_options.notify_descriptor = values_["notify-fd"].as<int>();
  if (in_foreground) {
    options.detach_process = DetachProcess::never;
    options.stdio = {};  // the terminal, unless `log` or `syslog` is given
  } else if (options.detach_process == DetachProcess::automatic && is_started_without_socket()) {
    options.detach_process = DetachProcess::always;  // `run` is the action that stays
  }
  if (const auto target = output()) options.stdio.out = options.stdio.err = *target;
  return options;
}

}  // namespace daemonctx
