// SPDX-License-Identifier: BSL-1.0
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <daemonctx/confine.hpp>
#include <fstream>
#include <iostream>
#include <sstream>
#include <stdexcept>
#include <thread>

#include "probe.hpp"

namespace probe {
namespace {

using daemonctx::DaemonOptions;
using daemonctx::StdioTarget;

// How many signals the actions of this file have handled.
std::atomic<int> handled = 0;

daemonctx::SignalAction counting_action() {
  return [](const daemonctx::SignalInfo& info) {
    ++handled;
    say("signal " + std::to_string(info.number) + " value " + std::to_string(info.value) + " from " +
        std::to_string(info.sender_pid) + ' ' + std::to_string(info.sender_uid));
  };
}

// Each run of this action sends its signal again: the signals never end.
daemonctx::SignalAction flooding_action() {
  return [](const daemonctx::SignalInfo& info) {
    if (++handled == 1) say("flooded");
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    ::kill(::getpid(), info.number);
  };
}

// Reports the first word that the file holds when the action runs.
daemonctx::SignalAction reading_action(const std::string& file) {
  return [file](const daemonctx::SignalInfo&) {
    std::ifstream in(file);
    std::string text;
    in >> text;
    say(text);
  };
}

// IDENTIFIER or IDENTIFIER:FACILITY
StdioTarget syslog_target(const std::string& text) {
  const auto colon = text.find(':');
  if (colon == std::string::npos) return StdioTarget::syslog(text);
  return StdioTarget::syslog(text.substr(0, colon), std::stoi(text.substr(colon + 1)) * 8);
}

StdioTarget target(const std::string& text) {
  if (text == "inherit") return StdioTarget::inherit();
  if (text.rfind("journal:", 0) == 0) return StdioTarget::journal(text.substr(8));
  if (text.rfind("syslog:", 0) == 0) return syslog_target(text.substr(7));
  if (text == "null") return StdioTarget::null_device();
  if (text.find_first_not_of("0123456789") == std::string::npos)
    return StdioTarget::descriptor(std::stoi(text));
  if (text.rfind("new:", 0) == 0) return StdioTarget::file(text.substr(4), {.truncate = true, .mode = 0600});
  if (text.rfind("owned:", 0) == 0) {  // owned:USER:GROUP:PATH
    const auto group = text.find(':', 6);
    const auto path = text.find(':', group + 1);
    return StdioTarget::file(text.substr(path + 1), {.user = text.substr(6, group - 6),
                                                     .group = text.substr(group + 1, path - group - 1)});
  }
  return StdioTarget::file(text);
}

daemonctx::SignalAction signal_action(const std::string& name) {
  static const std::map<std::string, daemonctx::SignalAction> known = {
      {"ignore", daemonctx::Action::ignore},        {"restore_default", daemonctx::Action::restore_default},
      {"terminate", daemonctx::Action::terminate},  {"reload", daemonctx::Action::reload},
      {"reopen", daemonctx::Action::reopen_output}, {"reap", daemonctx::Action::reap_children}};
  if (name == "count") return counting_action();
  if (name == "flood") return flooding_action();
  if (name.rfind("read ", 0) == 0) return reading_action(name.substr(5));
  if (name == "throw") return [](const daemonctx::SignalInfo&) { throw std::runtime_error("bad action"); };
  if (name == "exit") return [](const daemonctx::SignalInfo&) { std::exit(7); };
  return known.at(name);
}

void set_signal(DaemonOptions& options, const std::string& text) {
  const auto colon = text.find(':');
  options.signal_map[std::stoi(text)] = signal_action(text.substr(colon + 1));
}

void set_on_error(DaemonOptions& options, const std::string& what) {
  options.on_error = [what](const std::exception_ptr& error, std::string_view where) {
    say("error in " + std::string(where) + ": " + daemonctx::message_of(error));
    if (what == "throw") throw 1;
  };
}

std::vector<std::string> list(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> found;
  for (std::string each; std::getline(in, each, ',');) found.push_back(each);
  return found;
}

// The words "best" and "kill" set other rules. Every other word is a system call.
std::vector<std::string> read_system_calls(const std::string& text, daemonctx::SystemCallRules& rules) {
  std::vector<std::string> found;
  for (const std::string& each : list(text)) {
    if (each == "best") rules.best_effort = true;
    else if (each == "kill") rules.on_violation = daemonctx::Violation::kill;
    else found.push_back(each);
  }
  return found;
}

// ro:/path,rw:/path
void add_landlock(DaemonOptions& options, const std::string& text) {
  daemonctx::LandlockRules rules;
  for (const std::string& each : list(text)) {
    if (each == "best") rules.best_effort = true;
    else (each.rfind("ro:", 0) == 0 ? rules.read_only : rules.read_write).emplace_back(each.substr(3));
  }
  options.restrictions.push_back(daemonctx::landlock(rules));
}

void add_system_calls(DaemonOptions& options, const std::string& allowed, const std::string& denied) {
  daemonctx::SystemCallRules rules;
  rules.allowed = read_system_calls(allowed, rules);
  rules.denied = read_system_calls(denied, rules);
  options.restrictions.push_back(daemonctx::system_calls(rules));
}

// first:50,most:3
void set_respawn(DaemonOptions& options, const std::string& text) {
  daemonctx::RespawnPolicy policy;
  for (const std::string& each : list(text)) {
    const auto colon = each.find(':');
    const std::string name = each.substr(0, colon);
    const std::string value = each.substr(colon + 1);
    if (name == "first") policy.first_delay = length(value);
    else if (name == "factor") policy.factor = std::stod(value);
    else if (name == "longest") policy.longest_delay = length(value);
    else if (name == "most") policy.max_restarts = static_cast<unsigned>(std::stoul(value));
    else if (name == "window") policy.window = length(value);
    else if (name == "stable") policy.stable_after = length(value);
    else if (name == "stop") policy.stop_timeout = length(value);
    else if (name == "hang") policy.hang_timeout = length(value);
    else if (name == "final") policy.no_restart_exit_codes = {std::stoi(value)};
    else if (name == "immediate") policy.immediate_restart_exit_codes = {std::stoi(value)};
    else if (name == "opens") policy.monitor_opens.emplace_back(value);
    else if (name == "fork")
      policy.on_worker_end = [](const daemonctx::WorkerEnd&) { static_cast<void>(::fork()); };
    else if (name == "print")
      policy.on_worker_end = [value](const daemonctx::WorkerEnd&) {
        for (int n = 0; n < std::stoi(value); ++n) std::cout << "report " << n << std::endl;
      };
    else if (name == "report")
      policy.on_worker_end = [](const daemonctx::WorkerEnd& end) {
        say("user " + std::to_string(::getuid()) + " hears of worker " + std::to_string(end.worker_number));
      };
  }
  options.respawn = true;
  options.respawn_policy = policy;
}

// NAME,ADDRESS, and then settings: datagram,mode:600
void add_socket(DaemonOptions& options, const std::string& text) {
  const auto words = list(text);
  daemonctx::ListenSocket socket{.name = words.at(0), .address = words.at(1)};
  for (std::size_t at = 2; at < words.size(); ++at) {
    const std::string& each = words[at];
    const std::string value = each.substr(each.find(':') + 1);
    if (each == "datagram") socket.type = daemonctx::SocketType::datagram;
    else if (each == "seqpacket") socket.type = daemonctx::SocketType::seqpacket;
    else if (each == "v6only") socket.v6only = true;
    else if (each == "reuse_port") socket.reuse_port = true;
    else if (each.rfind("backlog:", 0) == 0) socket.backlog = std::stoi(value);
    else if (each.rfind("mode:", 0) == 0) socket.mode = static_cast<mode_t>(std::stoi(value, nullptr, 8));
    else if (each.rfind("user:", 0) == 0) socket.user = value;
    else if (each.rfind("group:", 0) == 0) socket.group = value;
  }
  options.sockets.push_back(socket);
}

}  // namespace

daemonctx::Timeout length(const std::string& text) {
  if (text == "forever") return daemonctx::forever;
  if (text == "max") return std::chrono::milliseconds::max();
  if (text.ends_with("ns")) return std::chrono::nanoseconds(std::stoll(text));
  return std::chrono::milliseconds(std::stoll(text));
}

const std::map<std::string, OptionSetter> option_setters = {
    {"cwd", [](DaemonOptions& o, const std::string& v) { o.working_directory = v; }},
    {"umask",
     [](DaemonOptions& o, const std::string& v) { o.umask = static_cast<mode_t>(std::stoi(v, nullptr, 8)); }},
    {"pidfile", [](DaemonOptions& o, const std::string& v) { o.pidfile = v; }},
    {"in", [](DaemonOptions& o, const std::string& v) { o.stdio.in = target(v); }},
    {"out", [](DaemonOptions& o, const std::string& v) { o.stdio.out = target(v); }},
    {"err", [](DaemonOptions& o, const std::string& v) { o.stdio.err = target(v); }},
    {"signal", set_signal},
    {"preserve", [](DaemonOptions& o, const std::string& v) { o.files_preserve.push_back(std::stoi(v)); }},
    {"close", [](DaemonOptions& o, const std::string& v) { o.close_descriptors = v == "yes"; }},
    {"core", [](DaemonOptions& o, const std::string& v) { o.prevent_core = v == "no"; }},
    {"detach",
     [](DaemonOptions& o, const std::string& v) {
       o.detach_process = v == "never"    ? daemonctx::DetachProcess::never
                          : v == "always" ? daemonctx::DetachProcess::always
                                          : daemonctx::DetachProcess::automatic;
     }},
    {"lock_timeout",
     [](DaemonOptions& o, const std::string& v) { o.pidfile_options.lock_timeout = length(v); }},
    {"readiness",
     [](DaemonOptions& o, const std::string&) { o.readiness = daemonctx::Readiness::when_notified; }},
    {"ready_timeout", [](DaemonOptions& o, const std::string& v) { o.ready_timeout = length(v); }},
    {"delivery", [](DaemonOptions& o,
                    const std::string&) { o.signal_delivery = daemonctx::SignalDelivery::on_own_thread; }},
    {"threads", [](DaemonOptions& o, const std::string&) { o.start_options.allow_threads = true; }},
    {"chroot", [](DaemonOptions& o, const std::string& v) { o.chroot_directory = v; }},
    {"before_drop",
     [](DaemonOptions& o, const std::string& v) {
       o.before_drop = [v] {
         if (v.rfind("throw ", 0) == 0) throw std::runtime_error(v.substr(6));
         if (v == "fork" && ::fork() == 0) throw std::runtime_error("a child of the callback's");
         if (v == "thread") std::thread([] { ::pause(); }).detach();
         if (v == "join_thread") std::thread([] {}).join();
         if (v == "become" && (::prctl(PR_SET_KEEPCAPS, 1) != 0 || ::setresgid(65534, 65534, 65534) != 0 ||
                               ::setresuid(65534, 65534, 65534) != 0))
           throw std::runtime_error("cannot become nobody");
         if (v == "core") say("core " + core_limit());
         if (v == "mask") say("blocked " + status_field("SigBlk"));
         if (v.rfind("await ", 0) == 0) {
           say("in before_drop");
           await_writer(v.substr(6));
         }
         say("before drop: uid " + std::to_string(::geteuid()));
       };
     }},
    {"capabilities",
     [](DaemonOptions& o, const std::string& v) {
       o.restrictions.push_back(daemonctx::keep_capabilities(list(v)));
     }},
    {"landlock", add_landlock},
    {"allow", [](DaemonOptions& o, const std::string& v) { add_system_calls(o, v, {}); }},
    {"deny", [](DaemonOptions& o, const std::string& v) { add_system_calls(o, {}, v); }},
    {"allow_and_deny", [](DaemonOptions& o, const std::string& v) { add_system_calls(o, v, v); }},
    {"allow_threads", [](DaemonOptions& o, const std::string&) { o.start_options.allow_threads = true; }},
    {"no_new_privileges", [](DaemonOptions& o, const std::string&) { o.no_new_privileges = true; }},
    {"variable",
     [](DaemonOptions& o, const std::string& v) {
       auto variables = o.environment.variables().value_or(daemonctx::Environment::Variables());
       if (!v.empty()) variables[v.substr(0, v.find('='))] = v.substr(v.find('=') + 1);
       o.environment = variables;
     }},
    {"socket", add_socket},
    {"mkdir",
     [](DaemonOptions& o, const std::string& v) {
       const auto colon = v.find(':');
       o.create_directories.push_back({.path = v.substr(0, colon)});
       if (colon == std::string::npos) return;
       o.create_directories.back().mode = static_cast<mode_t>(std::stoi(v.substr(colon + 1), nullptr, 8));
     }},
    {"user", [](DaemonOptions& o, const std::string& v) { o.user = v; }},
    {"change_user",
     [](DaemonOptions& o, const std::string&) { o.change_user = daemonctx::ChangeUser::if_root; }},
    {"group", [](DaemonOptions& o, const std::string& v) { o.group = v; }},
    {"notify_fd",
     [](DaemonOptions& o, const std::string& v) { o.start_options.notify_descriptor = std::stoi(v); }},
    {"initgroups", [](DaemonOptions& o, const std::string& v) { o.initgroups = v == "yes"; }},
    {"respawn", set_respawn},
    {"on_error", set_on_error},
    {"on_wait",
     [](DaemonOptions& o, const std::string& how) {
       if (how == "fork") {  // the child returns from the callback, too
         o.start_options.on_wait = [](std::chrono::milliseconds) { say(::fork() == 0 ? "child" : "parent"); };
         return;
       }
       o.start_options.on_wait = [](std::chrono::milliseconds passed) {
         say(passed >= std::chrono::milliseconds(500) ? "waiting" : "waiting, too early");
         throw 1;  // has no effect
       };
     }},
    {"on_launched",
     [](DaemonOptions& o, const std::string&) {
       o.start_options.on_launched = [](pid_t daemon) {
         std::cout << "launched " << daemon << " by " << ::getpid();
         throw 1;
       };
     }},
    {"title", [](DaemonOptions& o, const std::string& v) { o.title = v; }},
    {"limit",  // RESOURCE:SOFT:HARD
     [](DaemonOptions& o, const std::string& v) {
       const auto soft = v.find(':');
       const auto hard = v.rfind(':');
       o.limits.resources.push_back({.resource = std::stoi(v),
                                     .soft = std::stoul(v.substr(soft + 1)),
                                     .hard = std::stoul(v.substr(hard + 1))});
     }},
    {"nice", [](DaemonOptions& o, const std::string& v) { o.limits.nice = std::stoi(v); }},
    {"oom", [](DaemonOptions& o, const std::string& v) { o.limits.oom_score_adj = std::stoi(v); }},
    {"cpu", [](DaemonOptions& o, const std::string& v) { o.limits.cpus.push_back(std::stoi(v)); }},
    {"cleanup_timeout", [](DaemonOptions& o, const std::string& v) { o.cleanup_timeout = length(v); }},
};

}  // namespace probe
