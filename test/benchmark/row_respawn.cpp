// SPDX-License-Identifier: BSL-1.0

// A service is killed under its supervisor. The figure is the time from its death until the next one is
// ready.

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <memory>

#include "daemons.hpp"
#include "paths.hpp"
#include "rows.hpp"

namespace bench {
namespace {

constexpr unsigned rounds = 50;
constexpr unsigned others_every = 10;  // most of them wait for a second
constexpr unsigned rounds_with_delay = 50;
constexpr unsigned delay = 100;  // in milliseconds
constexpr unsigned budget = delay + 20;
constexpr double respawn_budget = 1.8;

// A service under a supervisor. The supervisor runs through all rounds.
class Supervised {
 public:
  Supervised(const std::string& fifo, const Words& supervisor) {
    if (::mkfifo(fifo.c_str(), 0600) == -1) throw std::runtime_error("cannot make a FIFO");
    fifo_ = ::open(fifo.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK);
    Command(supervisor).start();
    service_ = next();
  }
  ~Supervised() { ::close(fifo_); }
  Supervised(const Supervised&) = delete;
  Supervised& operator=(const Supervised&) = delete;

  double kill() {
    const double begin = now();
    ::kill(service_, SIGKILL);
    service_ = next();
    return now() - begin;
  }

 private:
  pid_t next() const {
    std::string line;
    while (line.empty() || line.back() != '\n') {
      pollfd readable{fifo_, POLLIN, 0};
      ::poll(&readable, 1, -1);
      check_interruption();
      char byte = 0;
      if (::read(fifo_, &byte, 1) == 1) line += byte;
    }
    return std::stoi(line);
  }

  int fifo_;
  pid_t service_;
};

class Supervisors {
 public:
  void add(const std::string& name, const Words& supervisor, const std::string& fifo, unsigned every = 1) {
    auto service = std::make_shared<Supervised>(fifo, supervisor);
    contenders_.push_back({.name = name, .measure = [service] { return service->kill(); }, .every = every});
  }
  void add_installed(const std::string& name, Words supervisor, const std::string& fifo) {
    if (supervisor.front().empty()) return Table::skip(name, "not installed");
    add(name, supervisor, fifo, others_every);
  }
  const std::vector<Contender>& contenders() const { return contenders_; }

 private:
  std::vector<Contender> contenders_;
};

void write(const std::string& file, const std::string& text) {
  std::ofstream(file) << text;
  ::chmod(file.c_str(), 0755);
}

// A folder with a script that starts the service.
std::string service_folder(const Scratch& scratch, const std::string& name, const std::string& fifo) {
  const std::string folder = scratch.path(name);
  ::mkdir(folder.c_str(), 0755);
  write(folder + "/run", "#!/bin/sh\nexec " + paths::reference_worker + ' ' + fifo + '\n');
  return folder;
}

Row compare_times(const std::string& work, const std::vector<Series>& series, const std::string& who,
                  const std::string& others) {
  Row row = compare(work, series, who, respawn_budget);
  row.daemonctx += ", " + duration(quantile(find(series, who).values));
  row.others = others;
  return row;
}

std::string supervisord_setup(const Scratch& scratch, const std::string& fifo) {
  const std::string file = scratch.path("supervisord.conf");
  write(file, "[supervisord]\nnodaemon=true\nsilent=true\nlogfile=/dev/null\nlogfile_maxbytes=0\npidfile=" +
                  scratch.path("supervisord.pid") + "\n[program:worker]\ncommand=" + paths::reference_worker +
                  ' ' + fifo + "\nautorestart=true\nstartsecs=0\n");
  return file;
}

}  // namespace

void respawn_rows(Table& table) {
  const Scratch scratch;
  const auto fifo = [&](const std::string& of) { return scratch.path(of + ".fifo"); };
  Supervisors all;
  all.add(names::reference, {paths::reference_worker, fifo("c"), "supervise"}, fifo("c"));
  all.add(names::subject, {paths::subject_worker, fifo("shared"), "0"}, fifo("shared"));
  all.add(names::subject_static, {paths::subject_worker_static, fifo("static"), "0"}, fifo("static"));
  all.add_installed("s6-supervise", {paths::s6_supervise, service_folder(scratch, "s6", fifo("s6"))},
                    fifo("s6"));
  all.add_installed("runsv", {paths::runsv, service_folder(scratch, "runit", fifo("runit"))}, fifo("runit"));
  all.add_installed("supervisord",
                    {paths::supervisord, "-c", supervisord_setup(scratch, fifo("supervisord"))},
                    fifo("supervisord"));
  all.add_installed("daemon --respawn",
                    {paths::daemon, "--foreground", "--respawn", "--attempts=100", "--",
                     paths::reference_worker, fifo("daemon")},
                    fifo("daemon"));
  const auto series = measure_paired(all.contenders(), rounds);
  std::string others;
  for (const Series& each : series) {
    if (each.name == names::reference || each.name == names::subject || each.name == names::subject_static)
      continue;
    others += (others.empty() ? "" : ", ") + each.name + ' ' + duration(quantile(each.values));
  }
  const std::string work = "respawn without delay, from death to ready";
  table.add(compare_times(work + ", C++ runtime linked statically", series, names::subject_static, others));
  table.add(compare_times(work + ", shared libraries", series, names::subject, ""));

  Supervised delayed(fifo("delayed"), {paths::subject_worker, fifo("delayed"), std::to_string(delay)});
  double longest = 0;
  for (unsigned round = 0; round < rounds_with_delay; ++round) longest = std::max(longest, delayed.kill());
  table.add({.work = "respawn with a delay of 100 ms, 50 times, the longest",
             .limit = "100 ms",
             .daemonctx = duration(longest),
             .budget = std::to_string(budget) + " ms",
             .verdict = judge(longest <= budget * 1e6)});
  end_all_children();
}

}  // namespace bench
