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
  std::vector<std::string> descriptors;  ///< of the service after that run
};

Plan make_plan(const Operation& operation, Verdict rehearsal);

/// "start.1.1 openat 12 ENOENT": the twelfth such call of that process.
std::string title_of(const Plan& plan, std::size_t point);

/// A point that is still to be tried.
struct Task {
  std::size_t plan = 0;
  std::size_t point = 0;
};
using Tasks = std::vector<Task>;

/// What was found at each point, in a file for each operation, so that a run that was cut off can go on.
class Results {
 public:
  /// \param directory empty: nothing is kept. Results of another `subject` are removed.
  Results(std::string directory, const std::string& subject);

  void keep(const Plan& plan, const std::string& title, const std::string& found) const;

  /// "TITLE: FOUND", of all runs.
  std::vector<std::string> of(const Plan& plan) const;

 private:
  std::string file_of(const Plan& plan) const;

  std::string directory_;
};

/// All points without those that have results.
Tasks tasks_of(const std::vector<Plan>& plans, const Results& results);

}  // namespace faults
