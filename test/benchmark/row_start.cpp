// SPDX-License-Identifier: BSL-1.0

// Starts: from exec of the program to the exit of its caller, which then knows that the daemon is ready.
// Stops: from SIGTERM to the end of the daemon.

#include "daemons.hpp"
#include "paths.hpp"
#include "rows.hpp"

namespace bench {
namespace {

constexpr unsigned python_every = 20;
constexpr rlim_t million = 1'048'576;
constexpr rlim_t billion = 1'000'000'000;
constexpr unsigned inherited = 10'000;

const std::string statically = ", C++ runtime linked statically";
const std::string shared = ", shared libraries";
const std::string fully = ", fully static";

// daemon(3) offers nothing to wait for.
double time_to_start(const std::string& name, const Command& command, const std::string& pidfile) {
  const double result = leaves_early(name) ? start_until_pidfile(command, pidfile) : start(command);
  stop_only_daemon();
  return result;
}

double time_to_stop_after_start(const std::string& name, const Command& command, const std::string& pidfile) {
  if (leaves_early(name)) start_until_pidfile(command, pidfile);
  else start(command);
  return time_to_stop(only_daemon());
}

std::vector<Contender> contenders(const std::vector<std::string>& names, const std::string& pidfile,
                                  decltype(time_to_start)* measure) {
  std::vector<Contender> result;
  for (const std::string& name : names) {
    if (!is_installed(name)) continue;
    result.push_back({.name = name,
                      .measure = [name, command = daemon_program(name).command(pidfile), pidfile,
                                  measure] { return measure(name, command, pidfile); },
                      .every = name == names::python ? python_every : 1,
                      .is_peer = is_peer(name)});
  }
  return result;
}

struct Budgets {
  double statically;
  double fully;
  double shared;
};

// A row for each way to link.
void add_three(Table& table, const std::string& work, const std::vector<Series>& series,
               const Budgets& budgets) {
  const std::vector<std::string> all = {names::subject_static, names::subject_fully_static, names::subject};
  const auto add = [&](const std::string& how, const std::string& name, double budget) {
    std::vector<std::string> others = all;
    std::erase(others, name);
    if (is_installed(name)) table.add(compare(work + how, series, name, budget, others));
  };
  add(statically, names::subject_static, budgets.statically);
  add(fully, names::subject_fully_static, budgets.fully);
  add(shared, names::subject, budgets.shared);
}

}  // namespace

void start_rows(Table& table) {
  const Scratch scratch;
  auto all = contenders({names::reference, names::subject_static, names::subject, names::subject_fully_static,
                         names::reference_cxx, names::libdaemon, names::daemon3, names::python,
                         names::daemonize, names::asio, names::poco, names::go_daemon},
                        scratch.pidfile(), time_to_start);
  all.push_back({.name = "empty program",
                 .measure = [empty = Command({paths::reference_empty})] { return start(empty); }});
  const auto series = measure_paired(all, 300);
  add_three(table, "start until ready", series, {1.15, 0.95, 1.85});
}

void monitor_rows(Table& table) {
  const Scratch scratch;
  const Program subject = daemon_program(names::subject_static);
  const auto contender = [&](const std::string& name, const Words& options) {
    return Contender{.name = name, .measure = [command = subject.command(scratch.pidfile(), options)] {
                       const double result = start(command);
                       stop_only_daemon();
                       return result;
                     }};
  };
  const auto series =
      measure_paired({contender("without a monitor", {}), contender("monitor", {"monitor=1"})}, 200);
  table.add(compare("start with a monitor, beside one without" + statically, series, "monitor", 1.5));
}

void limit_rows(Table& table) {
  const Scratch scratch;
  for (const rlim_t limit : {million, billion}) {
    std::vector<std::string> who = {names::reference, names::subject_static, names::subject,
                                    names::libdaemon};
    if (limit == million) who.push_back(names::python);  // with `billion` python-daemon runs out of memory
    const NofileScope scope(limit);
    const auto series =
        measure_paired(contenders(who, scratch.pidfile(), time_to_start), limit == million ? 100 : 60);
    table.add(
        compare("start with RLIMIT_NOFILE " + std::to_string(limit) + " (" + scope.how() + ")" + statically,
                series, names::subject_static, 1.15, {names::subject}));
  }
}

void descriptor_rows(Table& table) {
  const Scratch scratch;
  const NofileScope scope(inherited + 2000);
  const DescriptorScope descriptors(inherited);
  const auto series = measure_paired(contenders({names::reference, names::subject_static, names::subject,
                                                 names::libdaemon, names::daemon3, names::python},
                                                scratch.pidfile(), time_to_start),
                                     80);
  table.add(compare("start with 10,000 inherited descriptors" + statically, series, names::subject_static,
                    1.05, {names::subject}));
}

void stop_rows(Table& table) {
  const Scratch scratch;
  const auto series = measure_paired(
      contenders({names::reference, names::subject_static, names::subject, names::subject_fully_static,
                  names::reference_cxx, names::libdaemon, names::daemon3, names::python, names::asio,
                  names::poco, names::go_daemon},  // Rust's daemonize has no stop of its own
                 scratch.pidfile(), time_to_stop_after_start),
      200);
  add_three(table, "stop, from SIGTERM to the end", series, {1.35, 1.15, 1.9});
}

}  // namespace bench
