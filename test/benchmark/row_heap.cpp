// SPDX-License-Identifier: BSL-1.0

// Detaching behind 1 GiB of touched heap: from the last moment of the program before it detaches to the first
// moment of the ready daemon. The program itself notes both (service.h). So the figure includes neither exec
// nor the touching of the heap.

#include <sys/sysinfo.h>

#include <sstream>

#include "daemons.hpp"
#include "rows.hpp"

namespace bench {
namespace {

constexpr unsigned long long heap = 1ULL << 30;

double time_to_detach(const Command& command, const std::string& report) {
  start(command);
  stop_only_daemon();
  std::istringstream times(take_contents(report));
  double begin = 0;
  double end = 0;
  if (!(times >> begin >> end)) throw WrongBehaviour("the daemon did not report when it was ready");
  return end - begin;
}

Contender contender(const std::string& program, const std::string& name, const Scratch& scratch,
                    const Words& further = {}) {
  const std::string report = scratch.path("report");
  Words options = {"heap=" + std::to_string(heap), "report=" + report};
  options.insert(options.end(), further.begin(), further.end());
  return {.name = name,
          .measure = [command = daemon_program(program).command(scratch.pidfile(), options),
                      report] { return time_to_detach(command, report); },
          .every = program == names::python ? 4U : 1U};
}

bool has_room() {
  struct sysinfo info {};
  return ::sysinfo(&info) == 0 && static_cast<unsigned long long>(info.freeram) * info.mem_unit > 2 * heap;
}

}  // namespace

void heap_rows(Table& table) {
  if (!has_room()) return Table::skip("detach behind 1 GiB of heap", "less than 2 GiB of memory are free");
  const Scratch scratch;
  std::vector<Contender> all = {contender(names::reference, names::reference, scratch),
                                contender(names::subject, names::subject, scratch),
                                contender(names::reference, "single fork in C", scratch, {"single=1"})};
  for (const auto& peer : {names::libdaemon, names::daemon3, names::python}) {
    if (is_installed(peer)) all.push_back(contender(peer, peer, scratch));
  }
  table.add(compare("detach behind 1 GiB of heap", measure_paired(all, 8), names::subject, 0.6));
}

}  // namespace bench
