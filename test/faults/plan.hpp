// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>
#include <vector>

#include "operation.hpp"

namespace faults {

/// The points of an operation: each call of a run without a fault, with each of its faults.
struct Plan {
  const Operation* operation = nullptr;
  std::vector<Point> points;
};

Plan make_plan(const Operation& operation, std::vector<Counted> counted);

/// "start.1.1 openat 12 ENOENT": the twelfth such call of that process.
std::string title_of(const Plan& plan, std::size_t point);

/// A point that is still to be tried.
struct Task {
  std::size_t plan = 0;
  std::size_t point = 0;
};
using Tasks = std::vector<Task>;

/// All points, without those that `results` has from an earlier run of the same plan. Removes results of
/// another plan.
Tasks tasks_of(const std::vector<Plan>& plans, const std::string& results);

/// Adds a line to the results of a plan: the number of the point, and what was found.
void keep_result(const Plan& plan, const std::string& results, std::size_t point, const std::string& found);

/// What the results of a plan say, from all runs: a line a point.
std::vector<std::string> kept_results(const Plan& plan, const std::string& results);

}  // namespace faults
