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

// python-daemon's callers exit before the daemon is ready, so its start lasts until its pidfile, its last
// step. daemon(3) offers nothing to wait for.
double time_to_start(const std::string& name, const Command& command, const std::string& pidfile) {
  const double result = name == names::python ? start_until_pidfile(command, pidfile) : start(command);
  stop_only_daemon();
  return result;
}

double time_to_stop_after_start(const std::string& name, const Command& command, const std::string& pidfile) {
  if (name == names::python) start_until_pidfile(command, pidfile);
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
                      .every = name == names::python ? python_every : 1});
  }
  return result;
}

}  // namespace

void start_rows(Table& table) {
  const Scratch scratch;
  auto all = contenders({names::reference, names::subject_static, names::subject, names::reference_cxx,
                         names::libdaemon, names::daemon3, names::python},
                        scratch.pidfile(), time_to_start);
  all.push_back({.name = "empty program",
                 .measure = [empty = Command({paths::reference_empty})] { return start(empty); }});
  const auto series = measure_paired(all, 300);
  table.add(compare("start until ready" + statically, series, names::subject_static, 1.05, {names::subject}));
  table.add(compare("start until ready" + shared, series, names::subject, 1.55, {names::subject_static}));
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
                series, names::subject_static, 1.05, {names::subject}));
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
                    1.1, {names::subject}));
}

void stop_rows(Table& table) {
  const Scratch scratch;
  const auto series =
      measure_paired(contenders({names::reference, names::subject_static, names::subject,
                                 names::reference_cxx, names::libdaemon, names::daemon3, names::python},
                                scratch.pidfile(), time_to_stop_after_start),
                     200);
  table.add(compare("stop, from SIGTERM to the end" + statically, series, names::subject_static, 1.25,
                    {names::subject}));
  table.add(compare("stop, from SIGTERM to the end" + shared, series, names::subject, 1.25,
                    {names::subject_static}));
}

}  // namespace bench
