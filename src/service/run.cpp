// SPDX-License-Identifier: BSL-1.0
#include "service/run.hpp"

#include <algorithm>
#include <csignal>
#include <iostream>

#include "base/one_line.hpp"
#include "output/journal_stream.hpp"
#include "service/configuration.hpp"
#include "service/report.hpp"

namespace daemonctx {
namespace {

namespace po = boost::program_options;

// The Linux Standard Base's exit codes of init script actions; `exit_code_of` has those of `status`.
enum ExitCode {
  success = 0,
  failure = 1,
  wrong_arguments = 2,
  not_implemented = 3,
  no_permission = 4,
  not_configured = 6,
  not_running = 7,
  ended_by_signal = 150,  // the Linux Standard Base leaves codes from 150 on to the program
};

constexpr std::chrono::seconds longest_reload{30};

// The signal that reopens the output: the one that the program maps to that, or else an unmapped SIGUSR1.
std::optional<int> reopen_signal(const SignalMap& map) {
  for (const auto& [number, action] : map) {
    if (action.action() != nullptr && *action.action() == daemonctx::Action::reopen_output) return number;
  }
  return map.contains(SIGUSR1) ? std::nullopt : std::optional(SIGUSR1);
}

bool is_refused(const std::error_code& code) {
  return code == std::errc::operation_not_permitted || code == std::errc::permission_denied;
}

// EPERM counts only in `change_user`: elsewhere the library refuses, as with a pidfile that others may write.
bool is_refused(const DaemonError& error) {
  return error.code() == std::errc::permission_denied ||
         (error.step() == Step::change_user && error.code() == std::errc::operation_not_permitted);
}

bool lost_to_another(const std::exception& error) {
  const auto* refusal = dynamic_cast<const DaemonError*>(&error);
  return refusal != nullptr && refusal->step() == Step::lock_pidfile &&
         refusal->code() == std::errc::file_exists;
}

// A service may leave SIGTERM its default action: then that signal ends it in order.
bool ended_in_order(const StopResult& stopped) {
  return stopped.signal != SIGKILL &&
         (!stopped.end || stopped.end->signal == 0 || stopped.end->signal == stopped.signal);
}

}  // namespace

struct ServiceRun::Action {
  std::string_view name;
  int (ServiceRun::*run)();
  const char* help;
};

const std::vector<ServiceRun::Action>& ServiceRun::actions() {
  static const std::vector<Action> all = {
      {"start", &ServiceRun::start, "start the daemon; the prompt is back when it is ready"},
      {"stop", &ServiceRun::stop, "stop it, and wait until it has ended"},
      {"restart", &ServiceRun::restart, "stop it if it runs, and start it"},
      {"reload", &ServiceRun::reload, "let it read its configuration again, and say what came of it"},
      {"reopen", &ServiceRun::reopen, "let it open its log files again, after a rotation"},
      {"status", &ServiceRun::status, "say whether it runs"},
      {"run", &ServiceRun::run, "do its work in the foreground"},
      {"help", &ServiceRun::help, "print this"},
      {"completion", &ServiceRun::completion, "print a completion for bash, to be sourced"},
      {"manpage", &ServiceRun::manpage, "print a page for man"},
  };
  return all;
}

int ServiceRun::operator()(int argc, const char* const* argv) {
  invocation_ = parse_command_line(argc, argv, all_options_);
  po::store(invocation_.command_line, values_);
  if (has("help")) return help();
  if (has("version")) return version();
  const auto action = std::find_if(actions().begin(), actions().end(),
                                   [&](const Action& each) { return each.name == invocation_.action; });
  if (action == actions().end()) throw UsageError(unknown_action_text());
  return (this->*action->run)();
}

// ---- The actions.

int ServiceRun::start() {
  configure();
  return launch(has("foreground"));
}

int ServiceRun::run() {
  configure();
  return launch(true);
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

int ServiceRun::restart() {
  configure();
  if (has("explain"))
    return print("stop the daemon if it runs, then\n" + explain(daemon_options(has("foreground"))));
  preflight(daemon_options(has("foreground")));  // an error must show before the daemon is stopped
  WaitingDisplay display(line("stopping"));
  const Controller controller(pidfile_, display.progress());
  return controller.restart(
      [&](const StopResult& stopped) {
        display.clear();
        if (stopped.pid != 0) tell(stopped);
        return launch_after(stopped);
      },
      stop_policy());
}

int ServiceRun::launch_after(const StopResult& stopped) {
  try {
    return launch(has("foreground"));
  } catch (const std::exception& error) {
    if (stopped.pid != 0 && !lost_to_another(error)) {
      fail(failure, "pid " + std::to_string(stopped.pid) + " was stopped, and now none runs");
    }
    throw;
  }
}

int ServiceRun::reload() {
  look_up_pidfile();
  WaitingDisplay display(line("reloading"));
  try {
    const ReloadResult result = Controller(pidfile_, display.progress()).reload(longest_reload);
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

int ServiceRun::print_document(std::string (*document)(const ServiceTexts&)) const {
  std::vector<ActionText> texts;
  for (const Action& action : actions()) texts.push_back({std::string(action.name), action.help});
  return print(document({service_.name_, texts, groups_}));
}

int ServiceRun::help() { return print_document(usage); }

int ServiceRun::completion() { return print_document(bash_completion); }

int ServiceRun::manpage() { return print_document(man_page); }

int ServiceRun::version() { return print(service_.name_ + ' ' + service_.version_); }

// Runs in the caller; if that detaches, goes on in the daemon.
int ServiceRun::launch(bool in_foreground) {
  if (has("explain")) return print(explain(daemon_options(in_foreground)));
  WaitingDisplay display(line("starting"));
  DaemonOptions options = daemon_options(in_foreground);
  const bool ready_at_once = options.readiness == Readiness::when_constructed;
  options.readiness = Readiness::when_notified;  // ready only after `on_reload`
  if (const auto signal = reopen_signal(options.signal_map))
    options.signal_map[*signal] = daemonctx::Action::reopen_output;
  StartOptions& start = options.start_options;
  if (!start.on_wait) start.on_wait = display.progress();
  start.on_launched = [&, told = start.on_launched](pid_t daemon) {
    display.clear();
    succeed("started, pid " + std::to_string(daemon));
    if (told) told(daemon);
  };
  DaemonContext context(std::move(options));
  display.clear();
  context.on_reload([this] { reconfigure(); });
  return detail::run_body(context, [&](DaemonContext&) {
    if (ready_at_once) context.notify_ready();
    return service_.body_(context);
  });
}

// ---- Messages.

int ServiceRun::fail(int code, const std::string& text) const {
  std::cerr << error_prefix(STDERR_FILENO) << one_line(line(text)) << std::endl;
  return code;
}

int ServiceRun::print(const std::string& text) const {
  std::cout << text << (text.empty() || text.back() == '\n' ? "" : "\n") << std::flush;
  return std::cout ? success : fail(failure, "cannot write to standard output");
}

// With `--oknodo` an action that changes nothing is a success, as some init scripts want it.
int ServiceRun::report_no_change(int code, const std::string& text) const {
  if (!has("oknodo")) return fail(code, text);
  std::cout << line(text) << std::endl;
  return success;
}

void ServiceRun::succeed(const std::string& text) const {
  if (has("verbose")) std::cout << line(text) << std::endl;
}

void ServiceRun::tell(const StopResult& stopped) const {
  const std::string who = "pid " + std::to_string(stopped.pid);
  const std::string time = std::to_string(stopped.took.count()) + " ms";
  if (stopped.signal == SIGKILL) {
    fail(failure, who + " did not end on SIGTERM, and was killed after " + time);
  } else if (stopped.end && (stopped.end->signal != 0 || stopped.end->exit_code != success)) {
    fail(failure, "stopped, " + who + ", after " + time + ": it " + to_string(*stopped.end));
  } else {
    succeed("stopped, " + who + ", after " + time);
  }
}

std::string ServiceRun::unknown_action_text() const {
  std::string names;
  for (const Action& action : actions()) names += (names.empty() ? "" : ", ") + std::string(action.name);
  if (invocation_.action.empty()) return "an action is missing (" + names + ')';
  return "unknown action \"" + invocation_.action + "\" (" + names + ')';
}

int ServiceRun::report(const std::exception_ptr& error) const {
  try {
    std::rethrow_exception(error);
  } catch (const UsageError& wrong) {
    return fail(wrong_arguments, wrong.what());
  } catch (const ConfigurationError& wrong) {
    return fail(not_configured, wrong.what());
  } catch (const DaemonError& refusal) {
    if (lost_to_another(refusal)) {
      return report_no_change(
          failure, "Already running" + (refusal.pid() > 0 ? ", pid " + std::to_string(refusal.pid()) : ""));
    }
    return fail(is_refused(refusal) ? no_permission : failure, refusal.what());
  } catch (const ControlError& refusal) {
    if (refusal.code() == std::errc::no_such_process) return report_no_change(not_running, "Not running");
    if (refusal.code() == std::errc::operation_not_supported) return fail(not_implemented, refusal.what());
    return fail(is_refused(refusal.code()) ? no_permission : failure, refusal.what());
  } catch (...) {
    return fail(failure, message_of(error));
  }
}

}  // namespace daemonctx
