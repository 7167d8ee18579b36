// SPDX-License-Identifier: BSL-1.0

// `explain`: says in words what a start would do.

#include <algorithm>
#include <array>

#include "base/number.hpp"
#include "base/timeout_text.hpp"
#include "context/caller_steps.hpp"
#include "context/daemon_steps.hpp"
#include "daemonctx/run.hpp"
#include "manager/listen_fds.hpp"
#include "posix/limits.hpp"
#include "sockets/socket_address.hpp"

namespace daemonctx {
namespace {

std::string quoted(const std::string& text) { return '"' + text + '"'; }

std::string octal(mode_t mode) { return '0' + to_digits(mode, 8); }

std::string name_of(const StdioTarget& target, bool detaches) {
  switch (target.kind()) {
    case StdioTarget::Kind::automatic:
      return detaches ? "the null device" : "left alone";
    case StdioTarget::Kind::null_device:
      return "the null device";
    case StdioTarget::Kind::file:
      return quoted(target.path().native());
    case StdioTarget::Kind::descriptor:
      return "descriptor " + std::to_string(target.descriptor());
    case StdioTarget::Kind::journal:
      return "the journal, as " + quoted(target.identifier());
    case StdioTarget::Kind::syslog:
      return "syslog, as " + quoted(target.identifier());
    case StdioTarget::Kind::inherit:
      break;
  }
  return "left alone";
}

class Explanation {
 public:
  Explanation(const DaemonOptions& options, const Surroundings& surroundings)
      : options_(options),
        surroundings_(surroundings),
        launch_(decide_launch(options.detach_process, surroundings, options.pidfile)) {}

  std::string text() {
    out_ = "mode: " + std::string(to_string(launch_.mode)) + ", because " + launch_.reason + '\n';
    explain_caller();
    explain_daemon();
    explain_end();
    return out_;
  }

 private:
  bool detaches() const { return launch_.mode == LaunchMode::detached; }
  bool drops() const { return !options_.user.empty() || !options_.group.empty(); }

  void say(const std::string& step) { out_ += "  " + step + '\n'; }
  void say_if(bool condition, const std::string& step) {
    if (condition) say(step);
  }

  void explain_caller() {
    out_ += "this process:\n";
    say_if(launch_.mode == LaunchMode::init,
           "leave process 1 to reap orphans and to hand signals on; go on in a child");
    say_if(surroundings_.passes_descriptors(),
           "take over the service manager's descriptors: " + descriptors());
    say_if(drops(), "look up " + who());
    const auto [before_lock, locked] = split_by_pidfile(options_);
    for (const Directory& each : before_lock) explain_directory(each);
    say_if(!options_.pidfile.empty(), "lock the pidfile " + quoted(options_.pidfile.native()));
    for (const Directory& each : locked) explain_directory(each);
    for (const ListenSocket& each : options_.sockets) explain_socket(each);
    for (const auto& each : options_.restrictions) say(std::string("prepare the ") + each->name());
    say_if(detaches(), "start the daemon in a session of its own, and end when it is ready");
  }

  void explain_directory(const Directory& each) {
    say("create the directory " + quoted(each.path.native()) + ", mode " + octal(each.mode));
  }

  bool is_passed(const ListenSocket& socket) const {
    return surroundings_.passes_descriptors() && has_name(surroundings_.listen_fdnames, socket.name);
  }

  void explain_socket(const ListenSocket& socket) {
    const std::string name = "the socket " + quoted(socket.name);
    if (is_passed(socket)) return say("take " + name + " from the service manager");
    const std::string mode = is_path(socket.address) ? ", mode " + octal(socket.mode) : "";
    say("listen on " + quoted(socket.address) + " for " + name + mode);
  }

  void explain_daemon() {
    out_ += (detaches() ? "the daemon:\n" : "then:\n");
    for (const Step step : planned_steps(launch_.mode)) explain_step(step);
    const std::string ready =
        options_.readiness == Readiness::when_constructed ? "at once" : "when the service says so";
    say("become ready " + ready);
    const Timeout timeout = surroundings_.watchdog_timeout();
    say_if(!timeout.is_forever(),
           "while waiting, tell the service manager's watchdog every " + to_text(timeout.length() / 2));
    const auto& stdio = options_.stdio;
    say("standard output: " + name_of(stdio.out, detaches()) +
        ", standard error: " + name_of(stdio.err, detaches()));
  }

  void explain_end() {
    out_ += "at the end:\n";
    say("run the cleanups, last first");
    for (const ListenSocket& each : options_.sockets) {
      say_if(is_path(each.address) && !is_passed(each),
             "remove the socket file " + quoted(each.address) + ", if that is permitted");
    }
    if (options_.pidfile.empty()) return;
    say(options_.chroot_directory.empty() ? "remove the pidfile, or empty it where that is not permitted"
                                          : "empty the pidfile");
  }

  std::string descriptors() const {
    const std::string& names = surroundings_.listen_fdnames;
    return surroundings_.listen_fds + (names.empty() ? "" : ", named " + quoted(names));
  }

  std::string limits() const {
    const Limits& limits = options_.limits;
    std::string text;
    const auto add = [&](const std::string& name, const std::string& value) {
      text += (text.empty() ? "" : ", ") + name + ' ' + value;
    };
    const auto number = [](rlim_t value) {
      return value == RLIM_INFINITY ? std::string("unlimited") : std::to_string(value);
    };
    for (const ResourceLimit& each : limits.resources)
      add(posix::limit_name(each.resource), number(each.soft) + (each.hard ? ':' + number(*each.hard) : ""));
    if (limits.nice) add("nice", std::to_string(*limits.nice));
    if (limits.oom_score_adj) add("oom_score_adj", std::to_string(*limits.oom_score_adj));
    for (const int cpu : limits.cpus) add("cpu", std::to_string(cpu));
    return text;
  }

  std::string who() const {
    std::string text = options_.user.empty() ? "" : "the user " + quoted(options_.user);
    if (options_.group.empty()) return text;
    return text + (text.empty() ? "" : " and ") + "the group " + quoted(options_.group);
  }

  // Says a step with its object, unless the options leave it nothing to do.
  void explain_step(Step step) {
    const std::string what(to_string(step));
    switch (step) {
      case Step::close_descriptors:
        return say_if(options_.close_descriptors, what);
      case Step::limit_core:
        return say_if(options_.prevent_core, "prevent core files");
      case Step::set_umask:
        return say(what + ' ' + octal(options_.umask));
      case Step::write_pidfile:
        return say_if(!options_.pidfile.empty(), what);
      case Step::start_worker:
        return say_if(options_.respawn, "become the monitor, and start the worker, which goes on");
      case Step::set_limits:
        return say_if(!limits().empty(), what + ": " + limits());
      case Step::run_before_drop:
        return say_if(bool(options_.before_drop), what);
      case Step::change_root:
        return say_if(!options_.chroot_directory.empty(),
                      what + ' ' + quoted(options_.chroot_directory.native()));
      case Step::change_user:
        return say_if(drops(), "become " + who() + ", and make sure that there is no way back");
      case Step::change_directory:
        return say(what + ' ' + quoted(options_.working_directory.native()));
      case Step::rule_out_new_privileges:
        return say_if(options_.no_new_privileges, what);
      case Step::apply_restrictions:
        for (const auto& each : options_.restrictions) say(std::string("apply the ") + each->name());
        return;
      case Step::redirect_stdio:
        return say("standard input: " + name_of(options_.stdio.in, detaches()));
      default:
        return say(what);
    }
  }

  const DaemonOptions& options_;
  const Surroundings surroundings_;
  const LaunchDecision launch_;
  std::string out_;
};

}  // namespace

std::string explain(DaemonOptions options) {
  validate(options);
  resolve_options(options);
  return Explanation(options, look_around(options)).text();
}

}  // namespace daemonctx
