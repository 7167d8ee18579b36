// SPDX-License-Identifier: BSL-1.0

// The settings of a service, from its command line, its configuration file, and its defaults.

#include <fcntl.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <boost/filesystem/operations.hpp>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <posix/syscalls.hpp>
#include <set>
#include <sstream>
#include <stdexcept>

#include "base/one_line.hpp"
#include "output/journal_stream.hpp"
#include "posix/signals.hpp"
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

Timeout time_before_kill(const StopPolicy& policy) {
  Timeout sum;
  for (const StopStep& step : policy) {
    if (step.signal == SIGKILL) return sum;
    if (step.wait.is_forever()) break;
    sum = sum.length() + step.wait.length();
  }
  return forever;
}

// In seconds; empty if the daemon is never killed.
std::string default_text(const StopPolicy& policy) {
  const Timeout time = time_before_kill(policy);
  if (time.is_forever()) return "";
  return (std::ostringstream() << std::chrono::duration<double>(time.length()).count()).str();
}

// The monitor has to kill its worker before a stop kills the monitor.
Timeout time_for_worker(Timeout before_kill) {
  if (before_kill.is_forever()) return forever;
  constexpr std::chrono::nanoseconds most = std::chrono::seconds(2);
  return before_kill.length() - std::min(before_kill.length() / 5, most);
}

}  // namespace

ServiceRun::ServiceRun(Service& service)
    : service_(service), invocation_{{}, {}, po::parsed_options(nullptr)} {}

void ServiceRun::prepare() {
  Service& service = service_;
  if (const Path& file = service.config_file_; !file.empty() && !file.is_absolute()) {
    throw std::invalid_argument("the configuration file \"" + file.native() +
                                "\" has no absolute path: a reload would look for it in another directory");
  }
  if (service.daemon_options_.pidfile.empty()) {
    service.daemon_options_.pidfile = default_pidfile(service.name_);
  }
  if (service.stop_policy_.empty()) service.stop_policy_ = daemonctx::stop_policy();
  take_options("Options", command_options(service.config_file_, !service.version_.empty()));
  take_options("Settings, also in the configuration file",
               setting_options(service.daemon_options_.pidfile, default_text(service.stop_policy_)));
  if (!service.own_options_.options().empty())
    take_options("Options of " + service.name_, service.own_options_);
  for (std::size_t group = 1; group < groups_.size(); ++group) file_options_.add(groups_[group].options);
  for (const ServiceAction& action : service.actions_) check_names(action.options, all_options_);
}

// Refuse a name that occurs twice: Boost would call it ambiguous only when it is used.
void ServiceRun::take_options(const std::string& caption, const po::options_description& options) {
  check_names(options, all_options_);
  groups_.push_back({caption, options});
  all_options_.add(options);
}

void ServiceRun::check_names(const po::options_description& group, const po::options_description& others) {
  std::set<std::string> names = {"action", "excess"};
  for (const auto& option : others.options()) names.insert(option->long_name());
  for (const auto& option : group.options()) {
    if (names.insert(option->long_name()).second) continue;
    throw std::logic_error("the option \"" + option->long_name() +
                           "\" is there twice: --help shows those of the library");
  }
}

void ServiceRun::configure(bool in_foreground) {
  file_ = read_file();
  configuration_ = read_values(invocation_, file_, file_options_, Reading::strict);
  adopt_pidfile();
  accept(configuration_);
  options_ = daemon_options(in_foreground);
}

// Call `configure_` before `po::notify`: if it refuses, no variable that an option is bound to has changed.
void ServiceRun::accept(Configuration& next) const {
  try {
    if (service_.configure_) service_.configure_(next.values);
    po::notify(next.values);
  } catch (const std::exception& error) {
    throw UsageError(with_origin(next, error.what()));
  }
}

// A wrong line in the file must not keep the operator from the running daemon. With `--pidfile`, and where it
// is no more than a default, the file may even be missing.
void ServiceRun::look_up_pidfile() {
  try {
    file_ = read_file();
  } catch (const ConfigurationError& error) {
    const bool is_missing = !invocation_.gives("config") && error.reason() == ENOENT;
    if (!is_missing && !invocation_.gives("pidfile")) throw;
  }
  configuration_ = read_values(invocation_, file_, file_options_, Reading::lenient);
  adopt_pidfile();
}

void ServiceRun::adopt_pidfile() {
  pidfile_ = pidfile_in(values());
  if (pidfile_.empty())
    throw UsageError(
        "there is no default pidfile, since XDG_RUNTIME_DIR is not set: name one with --pidfile");
  boost::system::error_code ignored;
  if (file_name_.empty() || !fs::equivalent(file_name_, pidfile_.native(), ignored)) return;
  // Refuse it: a daemon that reads and closes its own pidfile loses its locks.
  throw UsageError("the configuration file is the pidfile");
}

Path ServiceRun::pidfile_in(const Values& values) const {
  return values.count("pidfile") == 0 ? service_.daemon_options_.pidfile
                                      : Path(values["pidfile"].as<std::string>());
}

// `--stop-timeout` replaces the limits of the program's policy, but not its first signal.
StopPolicy ServiceRun::stop_policy() const {
  if (!has("stop-timeout")) return service_.stop_policy_;
  StopPolicy policy = daemonctx::stop_policy(values()["stop-timeout"].as<Seconds>().value);
  policy.front().signal = service_.stop_policy_.front().signal;
  return policy;
}

std::optional<StdioTarget> ServiceRun::output() const {
  const bool to_file = has("log");
  const bool to_syslog = is_on("syslog");
  if (!to_file && !to_syslog) return {};
  const bool prefers_file = invocation_.gives("log");
  if (to_file && to_syslog && prefers_file == invocation_.gives("syslog")) {
    throw UsageError(
        with_origin(configuration_, "log: the output can go to a log or to syslog, not to both"));
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
  if (has("umask")) options.umask = values()["umask"].as<Mode>().value;
  if (has("ready-timeout")) options.ready_timeout = values()["ready-timeout"].as<Seconds>().value;
  if (!options.on_error)
    options.on_error = [name = service_.name_](const auto& error, std::string_view where) {
      say(name, error, where);
    };
  if (is_on("respawn")) options.respawn = true;
  if (has("notify-fd")) options.start_options.notify_descriptor = values()["notify-fd"].as<int>();
  if (in_foreground) {
    options.detach_process = DetachProcess::never;
    options.stdio = {};  // the terminal, unless `log` or `syslog` is given
  } else if (options.detach_process == DetachProcess::automatic && is_started_without_socket()) {
    options.detach_process = DetachProcess::always;  // `run` is the action that stays
  }
  if (const auto target = output()) options.stdio.out = options.stdio.err = *target;
  set_options(options);
  if (options.respawn_policy.stop_timeout == RespawnPolicy().stop_timeout)
    options.respawn_policy.stop_timeout = time_for_worker(time_before_kill(stop_policy()));
  options.pidfile_options.tag = file_tag();
  if (!file_name_.empty()) options.respawn_policy.monitor_opens.emplace_back(file_name_);
  return options;
}

void ServiceRun::set_options(DaemonOptions& options) const {
  if (!service_.set_options_) return;
  try {
    service_.set_options_(values(), options);
  } catch (const std::exception& error) {
    throw UsageError(with_origin(configuration_, error.what()));
  }
  // Other actions have to find the daemon without this function.
  if (options.pidfile != pidfile_) throw std::logic_error("on_options must not change the pidfile");
}

// ---- Where a value came from.

std::string ServiceRun::with_origin(const Configuration& configuration, const std::string& text) {
  const auto origin = configuration.origins.find(text.substr(0, text.find(':')));
  return origin == configuration.origins.end() ? text : origin->second + ": " + text;
}

// A message of the library names the value, not the option.
std::string ServiceRun::with_origin(const std::exception& error) const {
  std::string text = error.what();
  for (const auto& [option, origin] : configuration_.origins) {
    const auto* value = boost::any_cast<std::string>(&values()[option].value());
    if (value == nullptr || value->empty()) continue;
    const bool is_named = text.find('"' + *value + '"') != std::string::npos ||
                          text.find('/' + *value + '"') != std::string::npos;  // a path made absolute
    if (is_named) return std::string(origin).append(": ").append(text);
  }
  return text;
}

}  // namespace daemonctx
