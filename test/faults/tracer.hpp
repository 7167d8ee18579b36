// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>
#include <sys/user.h>

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fault.hpp"

namespace faults {

using Clock = std::chrono::steady_clock;

/// The n-th call of one kind in a process, from 1. A process is named by the command that it came from and by
/// its place among the children: "start" is the caller, "start.1" the intermediate, "start.1.1" the daemon.
/// The letter t stands for a thread.
struct Point {
  std::string process;
  int n = 0;
  long call = 0;
  int target = 0;  ///< see `faults_of`
  Fault fault;
};

/// One call that was counted.
struct Counted {
  std::string process;
  long call = 0;
  int target = 0;  ///< see `faults_of`
};

/// Runs commands, and stops each system call of theirs and of their descendants by seccomp and ptrace. Makes
/// the calls of one point fail. Threads and processes that a command leaves become children of this process.
class Tracer {
 public:
  /// Blocks SIGCHLD for good, and makes this process adopt orphans.
  Tracer();

  /// Starts `command` with `environment`; `out` becomes its descriptors 1 and 2.
  pid_t start(const std::string& name, const std::vector<std::string>& command,
              const std::vector<std::string>& environment, int out);

  /// Counts each call from now on, from 1. A new command, and a program that a process executes, is counted
  /// from its marker on.
  void begin(std::optional<Point> point);

  /// Calls `function` just before the fault, and before each one if it is for ever.
  void before_fault(std::function<void()> function) { before_fault_ = std::move(function); }

  /// Lets all later calls succeed, and stops counting.
  void end();

  /// Carries the processes on until `condition` holds. False: it does not hold by the end of `limit`.
  bool run_until(const std::function<bool()>& condition, std::chrono::milliseconds limit);

  /// How a process ended, as for waitpid(2); empty: it lives.
  std::optional<int> end_of(pid_t pid) const;

  std::string name_of(pid_t pid) const;

  /// Whether there was ever a process of this name.
  bool has_seen(const std::string& name) const;

  const std::vector<Counted>& counted() const { return counted_; }

  /// The call that was made to fail; -1: the point was not reached.
  long hit_call() const { return hit_call_; }

 private:
  struct Process {
    std::string name;
    bool is_counted = false;
    std::map<std::pair<long, int>, int> calls;  // by number and target
    int children = 0;
    int error_afterwards = 0;
  };

  void handle(pid_t pid, int status);
  void handle_stop(pid_t pid, int signal);
  void handle_call(pid_t pid);
  void handle_exit_of_call(pid_t pid);
  void adopt(pid_t parent, int event);
  void inject(pid_t pid, Process& process);
  void shorten(pid_t pid, user_regs_struct& registers);
  void resume_paused();
  bool is_due(const Counted& counted, int n) const;

  std::map<pid_t, Process> processes_;
  std::map<pid_t, std::string> names_;  // of all, also of those that have ended
  std::map<pid_t, int> early_;          // children that stopped before their parent's report
  std::map<pid_t, int> ended_;
  std::map<pid_t, Clock::time_point> paused_;
  std::vector<Counted> counted_;
  std::optional<Point> point_;
  std::function<void()> before_fault_ = [] {};
  bool counts_ = false;
  long hit_call_ = -1;
};

}  // namespace faults
