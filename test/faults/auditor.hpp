// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "sandbox.hpp"

namespace faults {

/// Checks the promises after an operation, and collects those that are broken. A process that SIGKILL ended
/// leaves files behind, and one that SIGTERM ended may have left before its caller heard of it: the members
/// ask which process the fault hit.
class Auditor {
 public:
  /// \param descriptors those that the service has open after a run without a fault.
  Auditor(Sandbox& sandbox, std::optional<Point> point, std::vector<std::string> descriptors)
      : sandbox_(sandbox), point_(std::move(point)), descriptors_(std::move(descriptors)) {}

  const std::vector<std::string>& broken() const { return broken_; }

  /// Those that the service had open when it was audited, after a run without a fault.
  const std::vector<std::string>& descriptors() const { return descriptors_; }

  /// After a start: ready exactly if its exit code is 0, or one line and nothing left.
  void start(const Result& result);
  /// After a stop: nothing is left exactly if its exit code is 0.
  void stop(const Result& result);
  void restart(const Result& result);
  /// After a reload of a configuration with `number`: accepted exactly if the exit code is 0.
  void reload(const Result& result, int number);
  void reopen(const Result& result);
  /// After the end of a worker: another one serves.
  void respawn(const Result& result);
  /// As `respawn`, and the other worker has the configuration that a reload accepted.
  void respawn_with(const Result& result, int number);
  void foreground(const Result& result);
  void status(const Result& result);

  /// At any moment: one service at most, no bystander signalled, `status` true.
  void at_rest();
  /// The service stops, starts again and stops, and has left nothing.
  void next_life();
  /// A service that ended in order has run its cleanup once.
  void cleanups();

 private:
  void settle();
  void expect(bool holds, const std::string& promise);
  void expect_one_line(const Result& result, const std::string& command);
  void expect_nothing_left(const std::string& when, bool has_failed = false);
  void expect_surroundings(pid_t service, const std::string& when);
  void expect_output_flows(pid_t service);
  void expect_no_descriptor_left(const std::string& when);
  void expect_success_if_harmless(const Result& result, const std::string& command);
  void expect_serves(const std::string& when);

  bool hit(Kind kind) const { return point_ && point_->fault.kind == kind; }
  bool ended_by_fault() const { return hit(Kind::kill) || hit(Kind::terminate); }
  bool killed_worker() const;  ///< the fault killed a child of a monitor
  bool may_have_ended() const { return ended_by_fault() && !killed_worker(); }
  bool may_keep_back() const;                    ///< the fault is an error that is no mere interruption
  bool hit_command(const Result& result) const;  ///< the fault's signal ended the command itself
  bool writes() const;                           ///< the fault hit a write(2)
  bool hit_writing(const Result& result) const;  ///< the command could not write its line
  Result ask_status();

  Sandbox& sandbox_;
  std::optional<Point> point_;
  std::vector<std::string> descriptors_;
  std::vector<std::string> broken_;
  int commands_ = 0;
};

}  // namespace faults
