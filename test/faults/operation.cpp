// SPDX-License-Identifier: BSL-1.0
#include "operation.hpp"

#include <signal.h>
#include <sys/stat.h>

#include <cstdio>

#include "auditor.hpp"
#include "sandbox_paths.hpp"

namespace faults {
namespace {

using std::chrono::seconds;

Result start(Sandbox& sandbox) {
  const Result result = sandbox.run("start", "start");
  if (result.exited(0)) sandbox.await("serves", 0, seconds(3));
  return result;
}

Result start_and_print(Sandbox& sandbox) {
  const Result result = start(sandbox);
  const auto has_printed = [&] { return sandbox.count_syslog("serves") != 0; };
  if (result.exited(0)) sandbox.tracer().run_until(has_printed, seconds(1));
  return result;
}

void be_started(Sandbox& sandbox) {
  if (!start(sandbox).exited(0) || sandbox.count("serves") == 0) throw std::runtime_error("the start fails");
}

Result stop(Sandbox& sandbox) { return sandbox.run("stop", "stop"); }

Result restart(Sandbox& sandbox) {
  const Result result = sandbox.run("restart", "restart");
  if (result.exited(0)) sandbox.await("serves", 1, seconds(3));
  return result;
}

void be_started_with(Sandbox& sandbox, const char* settings) {
  be_started(sandbox);
  write_file(configuration, settings);
}

void change_configuration(Sandbox& sandbox) { be_started_with(sandbox, "number = 2\n"); }
void spoil_configuration(Sandbox& sandbox) { be_started_with(sandbox, "number = -1\n"); }

Result reload(Sandbox& sandbox) { return sandbox.run("reload", "reload"); }

void write_brief_configuration(Sandbox& sandbox) {
  be_started_with(sandbox, ("number = " + std::to_string(number_that_ends) + '\n').c_str());
}

// The command does not wait for the end of the old version.
Result upgrade(Sandbox& sandbox) {
  const pid_t old = sandbox.authors("serves").front();
  const Result result = sandbox.run("upgrade", "upgrade");
  const auto has_ended = [&] { return sandbox.end_of(old).has_value(); };
  if (result.exited(0)) sandbox.tracer().run_until(has_ended, seconds(3));
  return result;
}

void rotate(Sandbox& sandbox) {
  be_started(sandbox);
  std::rename(log, rotated_log);
}

// The command sends a signal, and does not wait for what it does.
Result reopen(Sandbox& sandbox) {
  const Result result = sandbox.run("reopen", "reopen");
  if (result.exited(0)) sandbox.tracer().run_until([] { return exists(log); }, seconds(1));
  return result;
}

Result status(Sandbox& sandbox) { return sandbox.run("status", "status"); }

Result kill_worker(Sandbox& sandbox) {
  ::kill(sandbox.authors("serves").back(), SIGKILL);
  Result result;
  result.hangs = !sandbox.await("serves", 1, seconds(5));
  return result;
}

// The worker that follows has the configuration that was accepted, whatever the file holds by then.
void reload_and_spoil(Sandbox& sandbox) {
  change_configuration(sandbox);
  if (!reload(sandbox).exited(0)) throw std::runtime_error("the reload fails");
  write_file(configuration, "number = -1\n");
}

Result run_in_foreground(Sandbox& sandbox) {
  Result result = sandbox.begin("run", "run");
  sandbox.await("serves", 0, seconds(5));
  ::kill(result.pid, SIGTERM);
  sandbox.finish(result);
  return result;
}

void audit_start(Auditor& auditor, const Result& result) { auditor.start(result); }
void audit_stop(Auditor& auditor, const Result& result) { auditor.stop(result); }
void audit_restart(Auditor& auditor, const Result& result) { auditor.restart(result); }
void audit_reload(Auditor& auditor, const Result& result) { auditor.reload(result, 2); }
void audit_refusal(Auditor& auditor, const Result& result) { auditor.reload(result, -1); }
void audit_reopen(Auditor& auditor, const Result& result) { auditor.reopen(result); }
void audit_respawn(Auditor& auditor, const Result& result) { auditor.respawn(result); }
void audit_memory(Auditor& auditor, const Result& result) { auditor.respawn_with(result, 2); }
void audit_upgrade(Auditor& auditor, const Result& result) { auditor.upgrade(result, ""); }
void audit_refused_upgrade(Auditor& auditor, const Result& result) {
  auditor.upgrade(result, "number: must not be negative");
}
void audit_probation(Auditor& auditor, const Result& result) {
  auditor.upgrade(result, " within its probation");
}
void audit_foreground(Auditor& auditor, const Result& result) { auditor.foreground(result); }
void audit_status(Auditor& auditor, const Result& result) { auditor.status(result); }

}  // namespace

const std::vector<Operation>& operations() {
  static const std::vector<Operation> all = {
      {"start", "", nullptr, start, audit_start},
      {"start with a log", "log", nullptr, start, audit_start},
      {"start as a user", "user,log", nullptr, start, audit_start},
      {"start in a chroot", "chroot", nullptr, start, audit_start},
      {"start with directories", "directory,kept,user", nullptr, start, audit_start},
      {"start with a monitor", "monitor,log,notified", nullptr, start, audit_start},
      {"start with syslog", "syslog", nullptr, start_and_print, audit_start},
      {"start with sockets", "socket", nullptr, start, audit_start},
      {"start with all", "monitor,user,log,socket,directory,notified", nullptr, start, audit_start},
      {"start with an early reload", "log,early", nullptr, start, audit_start},
      {"run", "log", nullptr, run_in_foreground, audit_foreground},
      {"run under a manager", "manager,notified", nullptr, run_in_foreground, audit_foreground},
      {"stop", "log", be_started, stop, audit_stop},
      {"stop with a monitor", "monitor,socket", be_started, stop, audit_stop},
      {"restart", "log", be_started, restart, audit_restart},
      {"restart with a monitor", "monitor,user,log", be_started, restart, audit_restart},
      {"reload", "log", change_configuration, reload, audit_reload},
      {"reload with a monitor", "monitor,log", change_configuration, reload, audit_reload},
      {"reload that is refused", "log", spoil_configuration, reload, audit_refusal},
      {"reopen", "log", rotate, reopen, audit_reopen},
      {"reopen with a monitor", "monitor,log", rotate, reopen, audit_reopen},
      {"respawn", "monitor,log,socket", be_started, kill_worker, audit_respawn},
      {"respawn after a reload", "monitor,log", reload_and_spoil, kill_worker, audit_memory},
      {"upgrade", "log,socket,upgrade", be_started, upgrade, audit_upgrade, true},
      {"upgrade that is refused", "log,socket,upgrade", spoil_configuration, upgrade, audit_refused_upgrade,
       true},
      {"upgrade to a version that ends", "log,socket,upgrade,probation", write_brief_configuration, upgrade,
       audit_probation, true},
      {"status", "log", be_started, status, audit_status},
  };
  return all;
}

Verdict perform(const Operation& operation, const std::string& subject, const std::optional<Point>& point,
                const std::vector<std::string>& descriptors) {
  Sandbox sandbox(subject, operation.words);
  if (operation.prepare != nullptr) operation.prepare(sandbox);
  Auditor auditor(sandbox, point, descriptors);
  sandbox.tracer().begin(point);
  const Result result = operation.act(sandbox);
  sandbox.tracer().end();
  operation.audit(auditor, result);
  auditor.at_rest();
  auditor.next_life();
  auditor.at_rest();
  auditor.cleanups();
  return {sandbox.tracer().hit_call(), auditor.broken(), sandbox.tracer().counted(), sandbox.told(),
          auditor.descriptors()};
}

}  // namespace faults
