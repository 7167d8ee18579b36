// SPDX-License-Identifier: BSL-1.0

// The cost of including the public header: the compiler's time for a file that contains nothing else.

#include <stdlib.h>
#include <sys/resource.h>

#include <fstream>

#include "daemons.hpp"
#include "paths.hpp"
#include "rows.hpp"

namespace bench {
namespace {

constexpr double budget = 350.0 / 290;  // ms, as designed on one machine

Command compile(const Words& headers, const std::string& source) {
  std::ofstream file(source);
  for (const auto& header : headers) file << "#include <" << header << ">\n";
  Words words = paths::compiler;
  for (const auto& word : {"-std=c++20", "-O0", "-c", "-o", "/dev/null", "-I"}) words.emplace_back(word);
  words.push_back(paths::include);
  words.push_back(source);
  return Command(words);
}

bool compiles(const Command& command) {
  const NullDevice nowhere;
  return wait_for(command.start(nowhere.fd())) == 0;
}

double seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

double processor_seconds() {
  rusage used{};
  ::getrusage(RUSAGE_CHILDREN, &used);
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

// Processor time does not depend on other work of the machine.
double time_to_compile(const Command& command) {
  const double before = processor_seconds();
  start(command);
  return 1e9 * (processor_seconds() - before);
}

// A header that does not compile, perhaps because it is not installed, is left out.
void add(std::vector<Contender>& to, const Words& headers, const Scratch& scratch) {
  const auto command = compile(headers, scratch.path(std::to_string(to.size()) + ".cpp"));
  if (!compiles(command)) return Table::skip("<" + headers.back() + ">", "does not compile");
  to.push_back(
      {.name = "<" + headers.back() + ">", .measure = [command] { return time_to_compile(command); }});
}

}  // namespace

void header_rows(Table& table) {
  ::setenv("CCACHE_DISABLE", "1", 1);
  const Scratch scratch;
  std::vector<Contender> all;
  add(all, {"filesystem"}, scratch);
  add(all, {"daemonctx/daemon_context.hpp"}, scratch);
  add(all, {"boost/filesystem/path.hpp"}, scratch);
  add(all, {"utility", "boost/asio.hpp"}, scratch);  // Boost.Asio 1.74 needs <utility>
  const auto series = measure_paired(all, 7);
  const std::string subject = "<daemonctx/daemon_context.hpp>";
  Row row = compare("public header, compiler time", series, subject, budget);
  row.limit += " for <filesystem>";
  row.daemonctx += ", " + duration(quantile(find(series, subject).values));
  table.add(row);
}

}  // namespace bench
