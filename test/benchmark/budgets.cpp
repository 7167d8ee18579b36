// SPDX-License-Identifier: BSL-1.0

// Measures the table "Budgets" of the design: the library against the least that plain C can do for the same
// work, and beside other libraries where they are installed. Wrong behaviour makes the program fail; a missed
// budget does not.
//
// Usage: budgets [ROW...]   (without: all)

#include <stdlib.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <iostream>

#include "daemons.hpp"
#include "rows.hpp"

namespace {

struct Part {
  std::string name;
  void (*measure)(bench::Table&);
};

const std::array parts = {
    Part{"start", bench::start_rows},     Part{"monitor", bench::monitor_rows},
    Part{"limit", bench::limit_rows},     Part{"descriptors", bench::descriptor_rows},
    Part{"heap", bench::heap_rows},       Part{"idle", bench::idle_rows},
    Part{"signal", bench::signal_rows},   Part{"stop", bench::stop_rows},
    Part{"control", bench::control_rows}, Part{"respawn", bench::respawn_rows},
    Part{"cleanup", bench::cleanup_rows}, Part{"header", bench::header_rows},
    Part{"crowd", bench::crowd_rows},     Part{"succession", bench::succession_rows},
    Part{"upgrade", bench::upgrade_rows},
};

constexpr std::chrono::seconds longest_part{100};

bool is_known(const std::string& name) {
  return std::any_of(parts.begin(), parts.end(), [&](const Part& part) { return part.name == name; });
}

// A failure in one part must not keep the other parts from running.
void measure(const Part& part, bench::Table& table) {
  bench::set_time_limit(longest_part);
  try {
    part.measure(table);
  } catch (const bench::Interrupted&) {
    throw;
  } catch (const std::exception& error) {
    bench::end_all_children();
    table.add({.work = part.name,
               .limit = "-",
               .daemonctx = error.what(),
               .budget = "-",
               .verdict = bench::Verdict::wrong});
  }
}

}  // namespace

int main(int argc, char** argv) {
  const bench::Words wanted(argv + 1, argv + argc);
  if (!std::all_of(wanted.begin(), wanted.end(), is_known)) {
    std::cerr << "usage: budgets [ROW...], of:";
    for (const Part& part : parts) std::cerr << ' ' << part.name;
    std::cerr << '\n';
    return EXIT_FAILURE;
  }
  ::unsetenv("LD_LIBRARY_PATH");  // set by Meson; it would slow down every start
  const bench::Household household;
  bench::Table table;
  bench::list_missing_peers();
  try {
    for (const Part& part : parts) {
      const bool chosen = std::find(wanted.begin(), wanted.end(), part.name) != wanted.end();
      if (wanted.empty() || chosen) measure(part, table);
    }
  } catch (const bench::Interrupted& error) {
    std::cerr << error.what() << '\n';
    return EXIT_FAILURE;
  }
  table.print();
  return table.is_right() ? EXIT_SUCCESS : EXIT_FAILURE;
}
