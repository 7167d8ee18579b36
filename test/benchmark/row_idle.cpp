// SPDX-License-Identifier: BSL-1.0

// The cost of an idle daemon: private dirty memory, threads and wake-ups.

#include <unistd.h>

#include <sstream>

#include "daemons.hpp"
#include "rows.hpp"

namespace bench {
namespace {

constexpr unsigned idle_seconds = 3;

long field(const std::string& file, const std::string& name) {
  std::istringstream lines(contents(file));
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(name + ":")) return std::stol(line.substr(name.size() + 1));
  }
  throw WrongBehaviour(file + " has no " + name);
}

std::string file_of(pid_t pid, const std::string& name) {
  return "/proc/" + std::to_string(pid) + "/" + name;
}

double private_dirty(const Command& command) {
  start(command);
  const pid_t pid = only_daemon();
  await_sleep(pid);
  const long result = field(file_of(pid, "smaps_rollup"), "Private_Dirty");
  stop_only_daemon();
  return static_cast<double>(result);
}

struct Activity {
  long threads;
  long wakeups;
};

Activity watch(const Command& command) {
  start(command);
  const pid_t pid = only_daemon();
  await_sleep(pid);
  const std::string status = file_of(pid, "status");
  const long before = field(status, "voluntary_ctxt_switches");
  ::sleep(idle_seconds);
  const Activity result{field(status, "Threads"), field(status, "voluntary_ctxt_switches") - before};
  stop_only_daemon();
  return result;
}

std::string kibibytes(const Series& series) { return number(quantile(series.values)) + " KiB"; }

Contender contender(const Program& program, const std::string& pidfile) {
  return {.name = program.name,
          .measure = [command = program.command(pidfile)] { return private_dirty(command); },
          .every = program.name == names::python ? 4U : 1U};
}

}  // namespace

void idle_rows(Table& table) {
  ::sync();  // the pages of a program that was just built are dirty until they are written
  const Scratch scratch;
  std::vector<Contender> all = {contender(daemon_program(names::reference_cxx), scratch.pidfile())};
  for (const auto& name : {names::subject, names::subject_static, names::reference, names::libdaemon,
                           names::daemon3, names::python}) {
    if (is_installed(name)) all.push_back(contender(daemon_program(name), scratch.pidfile()));
  }
  const auto series = measure_paired(all, 8);
  const Activity activity = watch(daemon_program(names::subject).command(scratch.pidfile()));
  Row row = compare("idle: private dirty memory", series, names::subject, 1.2);
  row.limit =
      kibibytes(series[0]) + " with the C++ runtime (" + kibibytes(find(series, names::reference)) + " in C)";
  row.daemonctx += ", " + kibibytes(find(series, names::subject));
  table.add(row);
  table.add({.work = "idle: threads, wake-ups in " + std::to_string(idle_seconds) + " s",
             .limit = "1, 0",
             .daemonctx = std::to_string(activity.threads) + ", " + std::to_string(activity.wakeups),
             .budget = "1, 0",
             .verdict = judge(activity.threads == 1 && activity.wakeups == 0)});
}

}  // namespace bench
