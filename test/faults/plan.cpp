// SPDX-License-Identifier: BSL-1.0
#include "plan.hpp"

#include <algorithm>
#include <fstream>
#include <functional>
#include <map>
#include <set>
#include <tuple>

namespace faults {
namespace {

std::string file_of(const Plan& plan, const std::string& results) {
  std::string name = plan.operation->name;
  std::replace(name.begin(), name.end(), ' ', '_');
  return results + '/' + name;
}

// Changes with the calls of the operation.
std::string mark_of(const Plan& plan) {
  std::string text;
  for (std::size_t i = 0; i < plan.points.size(); ++i) text += title_of(plan, i) + '\n';
  return "plan " + std::to_string(std::hash<std::string>{}(text));
}

}  // namespace

Plan make_plan(const Operation& operation, std::vector<Counted> counted) {
  Plan plan{&operation, {}};
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

std::vector<std::string> kept_results(const Plan& plan, const std::string& results) {
  if (results.empty()) return {};
  std::ifstream file(file_of(plan, results));
  std::string line;
  if (!std::getline(file, line) || line != mark_of(plan)) return {};
  std::vector<std::string> lines;
  while (std::getline(file, line)) lines.push_back(line);
  return lines;
}

Tasks tasks_of(const std::vector<Plan>& plans, const std::string& results) {
  Tasks tasks;
  for (std::size_t i = 0; i < plans.size(); ++i) {
    std::set<std::size_t> known;
    for (const std::string& line : kept_results(plans[i], results)) known.insert(std::stoul(line));
    if (!results.empty() && known.empty())
      std::ofstream(file_of(plans[i], results)) << mark_of(plans[i]) << '\n';
    for (std::size_t point = 0; point < plans[i].points.size(); ++point) {
      if (known.count(point) == 0) tasks.push_back({i, point});
    }
  }
  return tasks;
}

void keep_result(const Plan& plan, const std::string& results, std::size_t point, const std::string& found) {
  if (results.empty()) return;
  std::ofstream(file_of(plan, results), std::ios::app) << point << ' ' << found << std::endl;
}

}  // namespace faults
