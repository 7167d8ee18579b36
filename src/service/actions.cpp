// SPDX-License-Identifier: BSL-1.0

// The actions of every service.

#include <algorithm>
#include <csignal>

#include "base/graces.hpp"
#include "base/signal_name.hpp"
#include "service/documents.hpp"
#include "service/exit_code.hpp"
#include "service/report.hpp"
#include "service/run.hpp"

namespace daemonctx {
namespace {

namespace po = boost::program_options;

// The signal for an action: the one that the program maps to it, or else an unmapped `usual`.
std::optional<int> signal_for(daemonctx::Action wanted, int usual, const SignalMap& map) {
  for (const auto& [number, action] : map) {
    if (action.action() != nullptr && *action.action() == wanted) return number;
  }
  return map.contains(usual) ? std::nullopt : std::optional(usual);
}

std::optional<int> reopen_signal(const SignalMap& map) {
  return signal_for(daemonctx::Action::reopen_output, SIGUSR1, map);
}

std::optional<int> upgrade_signal(const SignalMap& map) {
  return signal_for(daemonctx::Action::upgrade, SIGUSR2, map);
}

// A service may leave SIGTERM its default action: then that signal ends it in order.
bool ended_in_order(const StopResult& stopped) {
  return stopped.signal != SIGKILL &&
         (!stopped.end || stopped.end->signal == 0 || stopped.end->signal == stopped.signal);
}

}  // namespace

const std::vector<ServiceRun::Action>& ServiceRun::actions() {
  static const std::vector<Action> all = {
      {"start", &ServiceRun::start, "start the daemon; the prompt is back when it is ready"},
      {"stop", &ServiceRun::stop, "stop it, and wait until it has ended"},
      {"restart", &ServiceRun::restart, "stop it if it runs, and start it"},
      {"try-restart", &ServiceRun::try_restart, "restart it if it runs, and do nothing otherwise"},
      {"reload", &ServiceRun::reload, "let it read its configuration again, and say what came of it"},
      {"force-reload", &ServiceRun::force_reload, "reload, or try-restart if it can't reload"},
      {"upgrade", &ServiceRun::upgrade, "replace it by a new version of the program, without a gap"},
      {"reopen", &ServiceRun::reopen, "let it open its log files again, after a rotation"},
      {"status", &ServiceRun::status, "say whether it runs"},
      {"run", &ServiceRun::run, "do its work in the foreground"},
      {"configtest", &ServiceRun::configtest, "say whether a start would accept the configuration"},
      {"help", &ServiceRun::help, "print this"},
      {"completion", &ServiceRun::completion, "print a completion for bash, or for zsh: completion zsh"},
      {"manpage", &ServiceRun::manpage, "print a page for man"},
  };
  return all;
}

const ServiceRun::Action* ServiceRun::own_action(const std::string& name) {
  const auto found =
      std::find_if(actions().begin(), actions().end(), [&](const Action& each) { return each.name == name; });
  return found == actions().end() ? nullptr : &*found;
}

std::vector<Entry> ServiceRun::action_texts() const {
  std::vector<Entry> texts;
  for (const Action& action : actions()) texts.push_back({std::string(action.name), action.help});
  for (const ServiceAction& action : service_.actions_) texts.push_back({action.name, action.text});
  return texts;
}

int ServiceRun::start() {
  configure(has("foreground"));
  return launch();
}

int ServiceRun::run() {
  configure(true);
  return launch();
}

int ServiceRun::stop() {
  look_up_pidfile();
  WaitingDisplay display(line("stopping"));
  const StopResult stopped = Controller(pidfile_, display.progress()).stop(stop_policy());
  display.clear();
  const int printed = has("json") ? print(to_json(stopped, service_.name_, pidfile_)) : success;
  if (!has("json")) tell(stopped);
  if (printed != success) return printed;
  return ended_in_order(stopped) ? success : ended_by_signal;
}

int ServiceRun::restart() { return restart_if(false); }

// Only the stop tells for certain whether the daemon ran.
int ServiceRun::restart_if(bool it_runs) {
  configure(has("foreground"));
  if (has("explain")) return print("stop the daemon if it runs, then\n" + explain(options_));
  preflight(options_);  // an error must show before the daemon is stopped
  WaitingDisplay display(line("stopping"));
  const Controller controller(pidfile_, display.progress());
  return controller.restart(
      [&](const StopResult& stopped) {
        display.clear();
        if (stopped.pid != 0) tell(stopped);
        return stopped.pid == 0 && it_runs ? do_nothing() : launch_after(stopped);
      },
      stop_policy());
}

int ServiceRun::launch_after(const StopResult& stopped) {
  try {
    return launch();
  } catch (const std::exception& error) {
    if (stopped.pid != 0 && !lost_to_another(error)) {
      fail(failure, "pid " + std::to_string(stopped.pid) + " was stopped, and now none runs");
    }
    throw;
  }
}

int ServiceRun::do_nothing() const {
  succeed(not_running_text());
  return success;
}

// A stopped service is left alone, whatever its configuration file holds.
int ServiceRun::try_restart() {
  look_up_pidfile();
  const DaemonState state = Controller(pidfile_).status().state;
  return state == DaemonState::stopped || state == DaemonState::stale ? do_nothing() : restart_if(true);
}

int ServiceRun::force_reload() {
  try {
    return reload();
  } catch (const ControlError& refusal) {
    if (refusal.code() != std::errc::operation_not_supported) throw;
    return restart_if(true);
  }
}

int ServiceRun::configtest() {
  configure(false);
  preflight(options_);
  return print(line("the configuration is right"));
}

int ServiceRun::reload() {
  look_up_pidfile();
  check_reloaded_file();
  WaitingDisplay display(line("reloading"));
  try {
    const ReloadResult result = Controller(pidfile_, display.progress()).reload(graces::reload);
    display.clear();
    succeed("reloaded, pid " + std::to_string(result.pid));
    return success;
  } catch (const ControlError& refusal) {
    if (refusal.code() != std::errc::invalid_argument) throw;
    display.clear();
    return fail(failure, std::string("reload refused: ") + refusal.what());
  }
}

int ServiceRun::reopen() {
  look_up_pidfile();
  const std::optional<int> signal = reopen_signal(service_.daemon_options_.signal_map);
  if (!signal) throw UsageError("no signal of this service reopens its log; a reload does");
  Controller(pidfile_).send_signal(*signal);
  succeed("told to open its log files again");
  return success;
}

int ServiceRun::upgrade() {
  look_up_pidfile();
  const std::optional<int> signal = upgrade_signal(service_.daemon_options_.signal_map);
  if (!signal) throw UsageError("no signal of this service upgrades it");
  const auto binary = has("binary") ? configuration_.values["binary"].as<std::string>() : std::string();
  WaitingDisplay display(line("upgrading"));
  try {
    const UpgradeResult result =
        Controller(pidfile_, display.progress()).upgrade({binary, *signal}, graces::upgrade);
    display.clear();
    succeed("upgraded, pid " + std::to_string(result.pid));
    return success;
  } catch (const ControlError& refusal) {
    if (refusal.code() != std::errc::invalid_argument) throw;
    display.clear();
    return fail(failure, std::string("upgrade failed, the service runs on: ") + refusal.what());
  }
}

int ServiceRun::status() {
  look_up_pidfile();
  DaemonStatus status;
  try {
    status = Controller(pidfile_).status();
  } catch (const ControlError& refusal) {
    return fail(exit_code_of(DaemonState::unknown), std::string("unknown: ") + refusal.what());
  }
  const int printed =
      print(has("json") ? to_json(status, service_.name_, pidfile_) : line(to_string(status, pidfile_)));
  if (printed != success) return printed;
  if (has("ready")) return status.state == DaemonState::running ? success : failure;
  return exit_code_of(status.state);
}

// Runs in the caller; if that detaches, goes on in the daemon.
int ServiceRun::launch() {
  if (has("explain")) return print(explain(options_));
  WaitingDisplay display(line("starting"));
  DaemonOptions options = options_;
  const bool ready_at_once = options.readiness == Readiness::when_constructed;
  options.readiness = Readiness::when_notified;  // ready only after `on_reload`
  if (const auto signal = reopen_signal(options.signal_map))
    options.signal_map[*signal] = daemonctx::Action::reopen_output;
  if (const auto signal = upgrade_signal(options.signal_map))
    options.signal_map[*signal] = daemonctx::Action::upgrade;
  StartOptions& start = options.start_options;
  if (!start.on_wait) start.on_wait = display.progress();
  start.on_launched = [&, told = start.on_launched](pid_t daemon) {
    display.clear();
    succeed("started, pid " + std::to_string(daemon));
    if (told) told(daemon);
  };
  const auto is_syslog = [](const StdioTarget& target) { return target.kind() == StdioTarget::Kind::syslog; };
  has_monitor_ = options.respawn || is_syslog(options.stdio.out) || is_syslog(options.stdio.err);
  on_error_ = options.on_error;
  DaemonContext context(std::move(options));
  display.clear();
  return detail::run_body(context, [&](DaemonContext&) {
    begin_with_accepted(context);
    context.on_reload([&] { reconfigure(context); });
    if (ready_at_once) context.notify_ready();
    return service_.body_(context);
  });
}

int ServiceRun::run_added(const ServiceAction& action) {
  file_ = read_file();
  configuration_ = read_values(invocation_, file_, file_options_, Reading::strict);
  try {
    check_required(values(), action.options);
    po::notify(configuration_.values);
  } catch (const po::error& error) {
    throw UsageError(error.what());
  }
  return action.run(values());
}

// Several actions may have options of the same names.
ServiceTexts ServiceRun::texts() const {
  ServiceTexts texts{.name = service_.name_, .description = service_.description_, .actions = action_texts()};
  for (const auto& [caption, options] : groups_) texts.groups.push_back({caption, options});
  for (const ServiceAction& action : service_.actions_) {
    if (!action.options.options().empty())
      texts.groups.push_back({"Options of " + action.name, action.options});
  }
  const std::string pidfile = service_.daemon_options_.pidfile.native();
  if (!pidfile.empty()) texts.files.push_back({pidfile, "The pidfile."});
  const std::string file = service_.config_file_.native();
  if (!file.empty()) texts.files.push_back({file, "The configuration file."});
  texts.signals = signal_texts();
  return texts;
}

std::vector<Entry> ServiceRun::signal_texts() const {
  const SignalMap& map = service_.daemon_options_.signal_map;
  std::vector<Entry> texts;
  for (const int signal : {SIGTERM, SIGINT}) {
    if (!map.contains(signal)) texts.push_back({posix::signal_name(signal), "Stop."});
  }
  texts.push_back({"SIGHUP", "Read the configuration again."});
  if (const auto signal = reopen_signal(map))
    texts.push_back({posix::signal_name(*signal), "Open the log files again."});
  for (const auto& [number, action] : map) {
    if (action.function() != nullptr && number != SIGHUP)
      texts.push_back({posix::signal_name(number), "An action of the program."});
  }
  return texts;
}

int ServiceRun::help() { return print(usage(texts())); }

int ServiceRun::completion() {
  const std::string shell = invocation_.words.empty() ? "bash" : invocation_.words.front();
  if (shell == "bash") return print(bash_completion(texts()));
  if (shell == "zsh") return print(zsh_completion(texts()));
  throw UsageError("there is a completion for bash and for zsh, not for \"" + shell + '"');
}

int ServiceRun::manpage() { return print(man_page(texts())); }

int ServiceRun::version() { return print(service_.name_ + ' ' + service_.version_); }

}  // namespace daemonctx
