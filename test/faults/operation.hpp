// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "sandbox.hpp"

namespace faults {

/// What the machine disturbs: a command of the subject, or an event in its life.
struct Operation {
  const char* name;
  const char* words;                             ///< the subject's options
  void (*prepare)(Sandbox&);                     ///< before the calls are counted; null: nothing
  Result (*act)(Sandbox&);                       ///< while they are counted
  void (*audit)(class Auditor&, const Result&);  ///< the promises of this operation
  bool is_open = false;  ///< not all points are clean yet: a run with a time limit leaves it out
};

const std::vector<Operation>& operations();

/// What a run of one operation has shown.
struct Verdict {
  long hit_call = -1;  ///< -1: the point was not reached
  std::vector<std::string> broken;
  std::vector<Counted> counted;
  std::vector<std::string> told;         ///< the journal and the logs
  std::vector<std::string> descriptors;  ///< of the service after a run without a fault
};

/// Carries the operation out in this process's sandbox, with the fault, and audits it. Then stops the
/// service, starts it again and stops it. Call it once, in a process that is number 1 of a new namespace.
/// \param descriptors those of a run without a fault
Verdict perform(const Operation& operation, const std::string& subject, const std::optional<Point>& point,
                const std::vector<std::string>& descriptors);

}  // namespace faults
