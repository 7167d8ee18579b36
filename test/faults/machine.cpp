// SPDX-License-Identifier: BSL-1.0

// Lets each system call of each process of each operation fail, one after the other, and audits what is left.
//
// Usage: fault_machine SUBJECT [--results DIRECTORY] [--seconds N] [--seed N] [--operation NAME]
//                      [--point PATTERN]
//   SUBJECT      test/faults/subject.cpp
//   --results    keeps what was found, so that a run that was cut off goes on; one file an operation
//   --seconds    tries points in a random order, and ends after N seconds
//   --operation  tries only this one
//   --point      tries only the points of the operation whose title matches this regular expression,
//                "^start.1.1 openat 12 ENOENT$", and shows what was broken

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <boost/program_options.hpp>
#include <iostream>
#include <random>

#include "plan.hpp"
#include "point_runner.hpp"

namespace {

namespace po = boost::program_options;
using namespace faults;

struct Settings {
  std::string subject;
  std::string results;
  std::string operation;
  int seconds = 0;
  unsigned seed = 0;
  std::string point;
};

Settings read(int argc, char** argv) {
  Settings settings;
  po::options_description options;
  options.add_options()("subject", po::value(&settings.subject)->required())(
      "results", po::value(&settings.results))("operation", po::value(&settings.operation))(
      "seconds", po::value(&settings.seconds))("seed", po::value(&settings.seed))("point",
                                                                                  po::value(&settings.point));
  po::positional_options_description words;
  words.add("subject", 1);
  po::variables_map values;
  po::store(po::command_line_parser(argc, argv).options(options).positional(words).run(), values);
  po::notify(values);
  if (settings.seconds != 0 && values.count("seed") == 0) settings.seed = std::random_device{}() % 100'000;
  return settings;
}

std::vector<const Operation*> chosen(const Settings& settings) {
  const std::string& name = settings.operation;
  std::vector<const Operation*> found;
  for (const Operation& each : operations()) {
    const bool is_in_all = settings.seconds == 0 || !each.is_open;
    if (name.empty() ? is_in_all : name == each.name) found.push_back(&each);
  }
  if (found.empty()) throw std::runtime_error("there is no operation \"" + name + '"');
  return found;
}

int run(const Settings& settings) {
  PointRunner runner(settings.subject);
  std::vector<Plan> plans;
  std::size_t points = 0;
  for (const Operation* const each : chosen(settings)) {
    plans.push_back(runner.rehearse(*each));
    points += plans.back().points.size();
  }
  if (!settings.point.empty()) return runner.show(plans.front(), settings.point);
  std::cout << plans.size() << " operations, " << points << " points";
  if (settings.seconds != 0) std::cout << "; seed " << settings.seed << ", " << settings.seconds << " s";
  std::cout << std::endl;
  const Results results(settings.results, settings.subject);
  Tasks tasks = tasks_of(plans, results);
  if (settings.seconds != 0) std::shuffle(tasks.begin(), tasks.end(), std::mt19937(settings.seed));
  const Summary summary = runner.try_all(plans, tasks, results, settings.seconds);
  for (std::size_t i = 0; i < plans.size(); ++i) {
    std::cout << plans[i].operation->name << ": " << summary.reached[i] << " points, " << summary.broken[i]
              << " with broken promises\n";
  }
  std::cout << summary.all_reached() << " points of " << plans.size()
            << " operations: " << summary.all_broken() << " with broken promises" << std::endl;
  return summary.all_broken() == 0 && summary.all_reached() > 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (::geteuid() != 0) {
    std::cout << "skipped: needs root" << std::endl;
    return 77;
  }
  try {
    return run(read(argc, argv));
  } catch (const std::exception& error) {
    std::cerr << "fault_machine: " << error.what() << std::endl;
    return 2;
  }
}
