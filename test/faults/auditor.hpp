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
  Auditor(Sandbox& sandbox, std::optional<Point> point, std::vector<std::string> descriptors);
  Auditor(const Auditor&) = delete;
  Auditor& operator=(const Auditor&) = delete;

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
  /// After an upgrade: another process serves exactly if the exit code is 0.
  /// \param refusal what the command says about a version that is bad; empty: it is good.
  void upgrade(const Result& result, const std::string& refusal);
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
  bool is_harmless() const;
  void expect_success_if_harmless(const Result& result, const std::string& command);
  void expect_serves(const std::string& when);
  void expect_refusal(const Result& result, const std::string& refusal);
  void expect_right_version(const Result& result, bool is_bad);
  void expect_hand_over(bool is_old);
  void expect_next_upgrade();

  bool hit(Kind kind) const { return point_ && point_->fault.kind == kind; }
  bool ended_by_fault() const { return hit(Kind::kill) || hit(Kind::terminate); }
  bool killed_worker() const;  ///< the fault killed a child of a monitor
  bool may_have_ended() const { return ended_by_fault() && !killed_worker(); }
  bool may_keep_back() const;                    ///< the fault is an error that is no mere interruption
  bool hit_command(const Result& result) const;  ///< the fault's signal ended the command itself
  bool writes() const;                           ///< the fault hit a write(2)
  bool hit_writing(const Result& result) const;  ///< the command could not write its line
  Result ask_status();
  pid_t serving() const;  ///< the last process that began to serve and lives; 0: none

  // audit_upgrade.cpp
  pid_t predecessor() const;      ///< the service before the upgrade
  std::string successor() const;  ///< the name of the process that an upgrade starts
  bool hit_process(const std::string& name) const;
  bool may_end_service(const Result& result) const;
  std::string kept_by_upgrade() const;
  bool killed_predecessor() const;
  bool gets_no_lock() const;

  Sandbox& sandbox_;
  std::optional<Point> point_;
  std::vector<std::string> descriptors_;
  std::vector<std::string> broken_;
  std::vector<std::string> sockets_;  // of the service before the operation: "socket:[INODE]"
  std::string pidfile_at_fault_;      // its text
  int commands_ = 0;
};

}  // namespace faults
