// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "plan.hpp"

namespace faults {

/// How many points were reached, and how many broke promises, by plan. A point is not reached if its process
/// made fewer calls this time.
struct Summary {
  std::vector<long> reached;
  std::vector<long> broken;

  long all_reached() const;
  long all_broken() const;
};

/// Performs operations, each in namespaces of its own, as many at once as there are processors.
class PointRunner {
 public:
  explicit PointRunner(std::string subject) : subject_(std::move(subject)) {}

  /// Carries an operation out without a fault. \throws std::runtime_error if a promise is broken
  Plan rehearse(const Operation& operation) const;

  /// Tries the points whose titles match the regular expression, prints what was broken, and returns an exit
  /// code.
  int show(const Plan& plan, const std::string& pattern) const;

  /// \param seconds begins no further point after this long; 0: no limit
  Summary try_all(const std::vector<Plan>& plans, const Tasks& tasks, const Results& results,
                  int seconds) const;

 private:
  // Which tasks a worker tries.
  struct Share {
    std::size_t first;
    std::size_t step;
    Clock::time_point deadline;
  };

  void work(const std::vector<Plan>& plans, const Tasks& tasks, Share share, int to) const;
  Verdict perform_alone(const Plan& plan, const Point* point) const;

  std::string subject_;
};

}  // namespace faults
