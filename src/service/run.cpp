// SPDX-License-Identifier: BSL-1.0
#include "service/run.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <iostream>

#include "base/one_line.hpp"
#include "base/signal_name.hpp"
#include "output/journal_stream.hpp"
#include "service/effects.hpp"
#include "service/exit_code.hpp"
#include "service/suggestion.hpp"

namespace daemonctx {
namespace {

namespace po = boost::program_options;

bool is_refused(const std::error_code& code) {
  return code == std::errc::operation_not_permitted || code == std::errc::permission_denied;
}

// EPERM counts only in `change_user`: elsewhere the library refuses, as with a pidfile that others may write.
bool is_refused(const DaemonError& error) {
  return error.code() == std::errc::permission_denied ||
         (error.step() == Step::change_user && error.code() == std::errc::operation_not_permitted);
}

}  // namespace

bool ServiceRun::lost_to_another(const std::exception& error) {
  const auto* refusal = dynamic_cast<const DaemonError*>(&error);
  return refusal != nullptr && refusal->step() == Step::lock_pidfile &&
         refusal->code() == std::errc::file_exists;
}

int ServiceRun::operator()(int argc, const char* const* argv) {
  const std::string name = action_in(argc, argv, all_options_);
  const ServiceAction* const added = added_action(name);
  if (added != nullptr) all_options_.add(added->options);
  invocation_ = parse_command_line(argc, argv, all_options_,
                                   added != nullptr ? added->words : po::positional_options_description());
  choose_file();
  po::store(invocation_.command_line, configuration_.values);
  if (has("help")) return help();
  if (has("version")) return version();
  const Action* const own = own_action(name);
  if (own == nullptr && added == nullptr) throw UsageError(unknown_action_text());
  check_effects(added);
  return own != nullptr ? (this->*own->run)() : run_added(*added);
}

const ServiceAction* ServiceRun::added_action(const std::string& name) const {
  const auto& all = service_.actions_;
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const ServiceAction& each) { return each.name == name; });
  return found == all.end() ? nullptr : &*found;
}

void ServiceRun::check_effects(const ServiceAction* added) const {
  if (!invocation_.words.empty() && invocation_.action != "completion")
    throw UsageError("unexpected argument \"" + invocation_.words.front() + '"');
  for (const auto& option : invocation_.command_line.options) {
    const std::string& name = option.string_key;
    if (added != nullptr && added->options.find_nothrow(name, false) != nullptr) continue;
    const bool is_setting = file_options_.find_nothrow(name, false) != nullptr;
    if (has_effect(name, invocation_.action, added != nullptr, is_setting)) continue;
    const bool reads_file = invocation_.action == "reload" && is_setting;
    throw UsageError("the option '--" + name + "' has no effect on " + invocation_.action +
                     (reads_file ? ", which reads the configuration file again" : ""));
  }
}

// A daemon reads the file that it was started with. Without a tag nobody knows which: every name is accepted.
void ServiceRun::check_reloaded_file() const {
  if (!invocation_.gives("config")) return;
  const std::uint64_t tag = Controller(pidfile_).status().tag;
  if (tag == 0 || tag == file_tag()) return;
  throw UsageError("the daemon does not read \"" + file_name_ +
                   "\": a reload reads the configuration file of the start");
}

std::string ServiceRun::unknown_action_text() const {
  std::string list;
  std::vector<std::string> names;
  for (const Entry& action : action_texts()) {
    list += (list.empty() ? "" : ", ") + action.name;
    names.push_back(action.name);
  }
  if (invocation_.action.empty()) return "an action is missing (" + list + ')';
  return "unknown action \"" + invocation_.action + "\" (" + list + ')' +
         suggestion(invocation_.action, names);
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
// A relative pidfile may lie in the directory of the start, which is another one.
std::string ServiceRun::not_running_text() const {
  return pidfile_.is_absolute() ? "Not running"
                                : "Not running; \"" + pidfile_.native() + "\" is a pidfile in this directory";
}

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
    const std::string signal = posix::signal_name(stop_policy().front().signal);
    fail(failure, who + " did not end on " + signal + ", and was killed after " + time);
  } else if (stopped.end && (stopped.end->signal != 0 || stopped.end->exit_code != success)) {
    fail(failure, "stopped, " + who + ", after " + time + ": it " + to_string(*stopped.end));
  } else {
    succeed("stopped, " + who + ", after " + time);
  }
}

int ServiceRun::report(const std::exception_ptr& error) const {
  try {
    std::rethrow_exception(error);
  } catch (const UsageError& wrong) {
    return fail(wrong_arguments, wrong.what());
  } catch (const ConfigurationError& wrong) {
    return fail(wrong.reason() == EACCES ? no_permission : not_configured, wrong.what());
  } catch (const std::invalid_argument& wrong) {  // `validate` refuses the options
    return fail(wrong_arguments, with_origin(wrong));
  } catch (const DaemonError& refusal) {
    if (lost_to_another(refusal)) {
      return report_no_change(
          failure, "Already running" + (refusal.pid() > 0 ? ", pid " + std::to_string(refusal.pid()) : ""));
    }
    return fail(is_refused(refusal) ? no_permission : failure, with_origin(refusal));
  } catch (const ControlError& refusal) {
    if (refusal.code() == std::errc::no_such_process)
      return report_no_change(not_running, not_running_text());
    if (refusal.code() == std::errc::operation_not_supported) return fail(not_implemented, refusal.what());
    return fail(is_refused(refusal.code()) ? no_permission : failure, refusal.what());
  } catch (...) {
    return fail(failure, message_of(error));
  }
}

}  // namespace daemonctx
