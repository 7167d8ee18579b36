// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <chrono>
#include <posix/syscalls.hpp>
#include <string>
#include <vector>

#include "base/deadline.hpp"
#include "output/line_reader.hpp"

namespace daemonctx {

/// Brings what a service prints to the local syslog service, line by line. Workers print into a pipe. The
/// monitor, which reads that, prints into memory: it would otherwise wait for itself.
///
/// A syslog service that is slow is waited for, in the end by the worker. What one that is gone or hangs does
/// not take within `patience` is counted as lost, so that the service goes on without its log.
class SyslogForwarder {
 public:
  using Clock = posix::Clock;

  static constexpr std::chrono::milliseconds patience{2000};

  /// \param facility as for openlog(3).
  /// \throws std::system_error
  /// \note Runs in the caller: what can't be reached, fails there.
  SyslogForwarder(std::string identifier, int facility, std::string path = "/dev/log");

  /// What is to become descriptor 1 or 2.
  int worker_end() const noexcept { return worker_.lines.writer(); }
  int monitor_end() const noexcept { return monitor_.lines.writer(); }

  /// In a worker that was just forked: nothing but its own end stays open.
  void leave_to_worker() noexcept;

  void append_descriptors(std::vector<int>& to) const;

  /// For poll(2), after `pump`: what there is to wait for, and until when.
  void append_events(std::vector<pollfd>& to) const;
  Clock::time_point next_attempt() const noexcept;

  /// Whether the worker may have to wait.
  bool is_blocked() const noexcept { return !pending_.empty(); }

  /// Passes on what there is. Never waits.
  /// \param worker the process that the lines are said to be of. 0: none is named.
  void pump(pid_t worker);

  /// The same after the worker's end, also with a line that has none. Waits for the syslog service, but not
  /// beyond `limit`.
  void finish(pid_t worker, Clock::time_point limit);

 private:
  struct Source {
    LineReader lines;
    int usual_priority;
    int priority = 0;  // of the line under way
  };

  bool pass(Source& source, pid_t author);
  void drain(Source& source, pid_t author, Clock::time_point limit);
  bool take(Source& source, pid_t author, bool also_rest);
  std::string record(int priority, pid_t author, std::string_view text) const;
  bool deliver(Clock::time_point limit);
  int send_pending();
  int send(const std::string& record) noexcept;
  void await_attempt(Clock::time_point limit) const;

  std::string identifier_;
  int facility_;
  std::string path_;
  UniqueFd socket_;
  Source worker_;
  Source monitor_;

  std::string pending_;   // a record that is not sent yet
  bool is_full_ = false;  // that is why
  Clock::time_point next_attempt_;
  Clock::time_point give_up_at_ = Clock::time_point::max();
  unsigned long lost_ = 0;
};

}  // namespace daemonctx
