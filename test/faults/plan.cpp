// SPDX-License-Identifier: BSL-1.0
#include "plan.hpp"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <set>
#include <tuple>

namespace faults {

Plan make_plan(const Operation& operation, Verdict rehearsal) {
  Plan plan{&operation, {}, std::move(rehearsal.descriptors)};
  auto& counted = rehearsal.counted;
  // Processes run side by side: their calls mingle, but each has its own order.
  std::stable_sort(counted.begin(), counted.end(),
                   [](const Counted& left, const Counted& right) { return left.process < right.process; });
  std::map<std::tuple<std::string, long, int>, int> calls;
  for (const Counted& each : counted) {
    const int n = ++calls[{each.process, each.call, each.target}];
    for (const Fault& fault : faults_of(each.call, each.target)) {
      plan.points.push_back({each.process, n, each.call, each.target, fault});
    }
  }
  return plan;
}

std::string title_of(const Plan& plan, std::size_t point) {
  const Point& at = plan.points[point];
  std::string kind = name_of(at.call);
  if (at.target != 0) kind += '(' + std::to_string(at.target) + ')';
  return at.process + ' ' + kind + ' ' + std::to_string(at.n) + ' ' + to_string(at.fault);
}

Results::Results(std::string directory, const std::string& subject) : directory_(std::move(directory)) {
  if (directory_.empty()) return;
  std::ifstream program(subject, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(program), {}};
  const std::string mark = std::to_string(std::hash<std::string>{}(bytes));
  const std::string mark_file = directory_ + "/subject";
  std::string known;
  std::ifstream(mark_file) >> known;
  if (known == mark) return;
  for (const Operation& each : operations()) std::remove(file_of({&each, {}, {}}).c_str());
  std::ofstream(mark_file) << mark << '\n';
}

std::string Results::file_of(const Plan& plan) const {
  std::string name = plan.operation->name;
  std::replace(name.begin(), name.end(), ' ', '_');
  return directory_ + '/' + name;
}

void Results::keep(const Plan& plan, const std::string& title, const std::string& found) const {
  if (directory_.empty()) return;
  std::ofstream(file_of(plan), std::ios::app) << title << ": " << found << std::endl;
}

std::vector<std::string> Results::of(const Plan& plan) const {
  std::vector<std::string> lines;
  if (directory_.empty()) return lines;
  std::ifstream file(file_of(plan));
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

Tasks tasks_of(const std::vector<Plan>& plans, const Results& results) {
  Tasks tasks;
  for (std::size_t i = 0; i < plans.size(); ++i) {
    std::set<std::string> known;
    for (const std::string& line : results.of(plans[i])) known.insert(line.substr(0, line.find(": ")));
    for (std::size_t point = 0; point < plans[i].points.size(); ++point) {
      if (known.count(title_of(plans[i], point)) == 0) tasks.push_back({i, point});
    }
  }
  return tasks;
}

}  // namespace faults
