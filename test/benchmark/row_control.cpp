// SPDX-License-Identifier: BSL-1.0

// A daemon is stopped from outside, through its pidfile. The figure is the time from the daemon's end to the
// end of the program that stops it, when the caller of that program goes on.
//
// The daemon's clean-up takes a random time. So the end comes at any moment between two looks of a contender
// that polls. The random times are the same for each contender.

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <random>
#include <utility>

#include "daemons.hpp"
#include "paths.hpp"
#include "rows.hpp"

namespace bench {
namespace {

constexpr unsigned rounds = 100;
constexpr unsigned budget = 5;                  // in milliseconds
constexpr unsigned shortest_cleanup = 100'000;  // in microseconds
constexpr unsigned longest_cleanup = 200'000;

const std::string start_stop_daemon = "start-stop-daemon";

struct Child {
  std::string name;
  pid_t pid;
  double ended_at = 0;
};

int open_pidfd(pid_t pid) { return static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)); }

bool has_pidfds() {
  const int pidfd = open_pidfd(::getpid());
  if (pidfd != -1) ::close(pidfd);
  return pidfd != -1;
}

// Reaps at once, as process 1 does: a contender that asks by kill(2) takes a zombie for a running process.
void collect(const Child& child) {
  const int status = wait_for(child.pid);
  if (status != 0)
    throw WrongBehaviour("the " + child.name + " failed, wait status " + std::to_string(status));
}

// poll(2) looks at the first descriptor first. If only that process is found to have ended, it ended before
// the other.
void await_ends(std::array<Child, 2>& pair) {
  std::array<pollfd, 2> ends{{{open_pidfd(pair[0].pid), POLLIN, 0}, {open_pidfd(pair[1].pid), POLLIN, 0}}};
  while (ends[0].fd != -1 || ends[1].fd != -1) {
    const int found = ::poll(ends.data(), ends.size(), -1);
    const double time = now();
    check_interruption();
    for (std::size_t i = 0; found > 0 && i < pair.size(); ++i) {
      if (ends[i].revents == 0) continue;
      pair[i].ended_at = time;
      ::close(std::exchange(ends[i].fd, -1));
      collect(pair[i]);
    }
  }
}

// Negative if the stop ended before the daemon.
double time_after_end(const Command& daemon, const Command& stop) {
  start(daemon);
  const pid_t stopped = only_daemon();
  await_sleep(stopped);
  std::array<Child, 2> pair{{{"stop", stop.start()}, {"daemon", stopped}}};
  await_ends(pair);
  const double result = pair[0].ended_at - pair[1].ended_at;
  return result == 0 ? 1 : result;  // poll(2) saw both ends at once, and a ratio needs more than 0
}

Contender contender(const std::string& name, const Words& stop, const std::string& pidfile) {
  return {.name = name, .measure = [stop = Command(stop), pidfile, draw = std::mt19937()]() mutable {
            std::uniform_int_distribution cleanup(shortest_cleanup, longest_cleanup);
            const Words options = {"linger=" + std::to_string(cleanup(draw))};
            return time_after_end(daemon_program(names::subject).command(pidfile, options), stop);
          }};
}

std::vector<Contender> contenders(const std::string& pidfile) {
  std::vector<Contender> result = {
      contender(names::reference, {paths::reference_stop, pidfile}, pidfile),
      contender(names::subject, {paths::subject_stop, pidfile}, pidfile),
  };
  if (paths::start_stop_daemon.empty()) {
    Table::skip(start_stop_daemon, "not installed");
  } else {
    const Words words = {paths::start_stop_daemon, "--stop",    "--quiet", "--retry",
                         "TERM/10/KILL/5",         "--pidfile", pidfile};
    result.push_back(contender(start_stop_daemon, words, pidfile));
  }
  return result;
}

double percentile_99(const Series& series) { return quantile(series.values, 0.99); }

std::string times(const Series& series) {
  return duration(quantile(series.values)) + ", 99 % within " + duration(percentile_99(series));
}

}  // namespace

void control_rows(Table& table) {
  const std::string work = "stop through the pidfile, from the daemon's end to the stop's";
  if (!has_pidfds()) return Table::skip(work, "needs pidfds to wait for an end");
  const Scratch scratch;
  const auto series = measure_paired(contenders(scratch.pidfile()), rounds);
  const Series& subject = find(series, names::subject);
  const bool is_early = quantile(subject.values, 0) < 0;
  Row row{.work = work,
          .limit = times(series[0]),
          .daemonctx = spread(subject.ratios) + ", " + times(subject),
          .budget = std::to_string(budget) + " ms",
          .verdict = is_early ? Verdict::wrong : judge(percentile_99(subject) <= budget * 1e6)};
  if (!paths::start_stop_daemon.empty())
    row.others = start_stop_daemon + " " + times(find(series, start_stop_daemon));
  table.add(row);
}

}  // namespace bench
