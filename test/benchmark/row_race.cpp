// SPDX-License-Identifier: BSL-1.0

// Races: 64 starts at once against one pidfile, and starts while the old daemon ends. What counts is how many
// daemons are alive afterwards.

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <sstream>

#include "daemons.hpp"
#include "rows.hpp"

namespace bench {
namespace {

constexpr unsigned crowd_size = 64;
constexpr double crowd_budget = 1.5;
constexpr unsigned rounds = 230;
constexpr unsigned starters_at_once = 8;

unsigned wait_for_successes(const std::vector<pid_t>& callers) {
  return static_cast<unsigned>(
      std::count_if(callers.begin(), callers.end(), [](pid_t caller) { return wait_for(caller) == 0; }));
}

void stop(const std::vector<pid_t>& daemons) {
  for (const pid_t daemon : daemons) ::kill(daemon, SIGTERM);
  for (const pid_t daemon : daemons) wait_for(daemon);
}

// ---- 64 starts at once.

struct Crowd {
  double time = 0;
  unsigned successes = 0;
  std::size_t alive = 0;
  unsigned true_refusals = 0;  // lines that name the daemon alive

  bool is_exact() const { return successes == 1 && alive == 1 && true_refusals == crowd_size - 1; }
};

std::string describe(const Crowd& crowd) {
  return std::to_string(crowd.alive) + " alive, " + std::to_string(crowd.true_refusals) + " true refusals" +
         (crowd.successes > crowd.alive
              ? ", " + std::to_string(crowd.successes - crowd.alive) + " false successes"
              : "") +
         " in " + duration(crowd.time);
}

unsigned count_lines_naming(pid_t daemon, const std::string& text) {
  const std::string name = "pid " + std::to_string(daemon);
  std::istringstream lines(text);
  unsigned result = 0;
  for (std::string line; std::getline(lines, line);) {
    const auto at = line.find(name);
    const auto end = at + name.size();
    if (at != std::string::npos && (end == line.size() || line[end] < '0' || line[end] > '9')) ++result;
  }
  return result;
}

// python-daemon's refused starts fail long after their callers have exited with 0.
std::vector<pid_t> lasting_children() {
  for (auto before = settled_children();;) {
    ::usleep(500'000);
    auto after = settled_children();
    if (before == after) return after;
    before = std::move(after);
  }
}

Crowd start_crowd(const Command& command, const Scratch& scratch, bool lasting) {
  const std::string log = scratch.path("errors");
  const int errors = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  Crowd result;
  std::vector<pid_t> callers;
  const double begin = now();
  for (unsigned i = 0; i < crowd_size; ++i) callers.push_back(command.start(errors));
  result.successes = wait_for_successes(callers);
  result.time = now() - begin;
  ::close(errors);
  const auto daemons = lasting ? lasting_children() : settled_children();
  result.alive = daemons.size();
  const std::string text = take_contents(log);
  if (result.alive == 1) result.true_refusals = count_lines_naming(daemons.front(), text);
  stop(daemons);
  ::unlink(scratch.pidfile().c_str());
  return result;
}

double exact_crowd(const Command& command, const Scratch& scratch) {
  const Crowd crowd = start_crowd(command, scratch, false);
  if (!crowd.is_exact()) throw WrongBehaviour("64 starts at once: " + describe(crowd));
  return crowd.time;
}

Contender crowd_contender(const std::string& name, const Scratch& scratch) {
  return {.name = name, .measure = [command = daemon_program(name).command(scratch.pidfile()), &scratch] {
            return exact_crowd(command, scratch);
          }};
}

// The worst of a few tries.
std::string describe_crowd_of(const std::string& peer, const Scratch& scratch) {
  const Command command = daemon_program(peer).command(scratch.pidfile());
  Crowd worst = start_crowd(command, scratch, true);
  for (unsigned more = peer == names::python ? 0 : 4; more > 0; --more) {
    const Crowd crowd = start_crowd(command, scratch, true);
    if (crowd.alive > worst.alive || crowd.true_refusals < worst.true_refusals) worst = crowd;
  }
  return peer + ": " + describe(worst);
}

// ---- A start while the old daemon ends.

struct Tally {
  unsigned two = 0;
  unsigned none = 0;
  unsigned untrue = 0;  // rounds with more callers that exited with 0 than daemons, or fewer
};

void busy_wait(double nanoseconds) {
  for (const double end = now() + nanoseconds; now() < end;) {
  }
}

// The kernel releases the locks of a killed process one after the other. So after a kill the witness may
// report "second" although the old daemon no longer runs.
void count_round(Tally& tally, unsigned successes, const std::vector<pid_t>& daemons,
                 const std::string& evidence, bool killed) {
  if (daemons.size() > 1 || (!killed && evidence.find("second") != std::string::npos)) ++tally.two;
  if (daemons.empty()) ++tally.none;
  if (successes != daemons.size()) ++tally.untrue;
}

bool is_killed_in(unsigned round) { return round % 2 == 1; }

// Starts come one after the other: before, during and after the end of the old daemon. The distances between
// them change from round to round. A single start comes at a moment that moves across the end from round to
// round. Every other old daemon is killed, and leaves its pidfile behind.
std::vector<pid_t> start_while_leaving(const Command& command, unsigned starters, pid_t old, unsigned round) {
  const NullDevice nowhere;
  std::vector<pid_t> callers;
  for (unsigned i = 0; i < starters; ++i) {
    callers.push_back(command.start(nowhere.fd()));
    busy_wait(round % 23 * (starters == 1 ? 100e3 : 20e3));
    if (i == round % starters) ::kill(old, is_killed_in(round) ? SIGKILL : SIGTERM);
  }
  wait_for(old);  // reaps at once, as process 1 does: libdaemon takes a zombie for a daemon
  return callers;
}

Tally succeed(const std::string& name, unsigned starters, const Words& options, const Scratch& scratch) {
  const std::string witness = scratch.path("witness");
  Words all = options;
  all.push_back("witness=" + witness);
  const Command command = daemon_program(name).command(scratch.pidfile(), all);
  Tally tally;
  for (unsigned round = 0; round < rounds; ++round) {
    start(command);
    const pid_t old = only_daemon();
    await_sleep(old);
    const unsigned successes = wait_for_successes(start_while_leaving(command, starters, old, round));
    const auto daemons = settled_children();
    count_round(tally, successes, daemons, take_contents(witness), is_killed_in(round));
    stop(daemons);
    ::unlink(scratch.pidfile().c_str());
  }
  return tally;
}

std::string describe(const Tally& tally) {
  return "two in " + std::to_string(tally.two) + ", none in " + std::to_string(tally.none);
}

}  // namespace

void crowd_rows(Table& table) {
  const Scratch scratch;
  const auto series =
      measure_paired({crowd_contender(names::reference, scratch), crowd_contender(names::subject, scratch),
                      crowd_contender(names::subject_static, scratch)},
                     20);
  const auto row_of = [&](const std::string& subject, const std::string& other, const std::string& how) {
    Row row = compare("64 starts at once: one alive, 63 true refusals" + how, series, subject, crowd_budget,
                      {other});
    row.daemonctx = "exact, " + row.daemonctx + ", " + duration(quantile(find(series, subject).values));
    row.budget = "exact, " + row.budget;
    return row;
  };
  Row statically = row_of(names::subject_static, names::subject, ", C++ runtime linked statically");
  for (const auto& peer : {names::libdaemon, names::daemon3, names::python}) {
    if (is_installed(peer))
      statically.others += (statically.others.empty() ? "" : "; ") + describe_crowd_of(peer, scratch);
  }
  table.add(statically);
  table.add(row_of(names::subject, names::subject_static, ", shared libraries"));
}

void succession_rows(Table& table) {
  const Scratch scratch;
  const Tally plain = succeed(names::subject, starters_at_once, {}, scratch);
  const Tally patient = succeed(names::subject, 1, {"lock_timeout=10000"}, scratch);
  const bool right = plain.two + plain.untrue + patient.two + patient.untrue + patient.none == 0;
  Row row{.work = std::to_string(starters_at_once) + " starts while the old one leaves, " +
                  std::to_string(rounds) + " rounds",
          .limit = "never two",
          .daemonctx = describe(plain) + "; one start with lock_timeout: " + describe(patient),
          .budget = "never two; with lock_timeout never none",
          .verdict = right ? Verdict::within : Verdict::wrong};
  if (plain.untrue + patient.untrue != 0) row.daemonctx += "; callers told an untruth";
  if (is_installed(names::libdaemon)) {
    row.others = names::libdaemon + ": " + describe(succeed(names::libdaemon, starters_at_once, {}, scratch));
  }
  table.add(row);
}

}  // namespace bench
