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

/// Passes the output of a service to the local syslog service, line by line. Workers print into a pipe, which
/// the monitor reads. The monitor itself prints into memory: with a pipe it would wait for itself.
///
/// A slow syslog service is waited for, in the end by the worker. If the syslog service is gone or hangs, a
/// line that it does not take within `graces::syslog` counts as lost. The service then goes on without its
/// log.
class SyslogForwarder {
 public:
  using Clock = posix::Clock;

  /// \param facility as for openlog(3).
  /// \throws std::system_error
  /// \note Runs in the caller, so that an unreachable syslog service fails there.
  /// \param lines of a former program's forwarder, whose pipe this one takes over.
  SyslogForwarder(std::string identifier, int facility, std::string path = "/dev/log",
                  HandedLines lines = {});

  /// The pipe, and what was read of it. Call it when nothing `is_blocked`.
  const LineReader& worker_lines() const noexcept { return worker_.lines; }

  /// The descriptors that become 1 or 2, in the worker and in the monitor.
  int worker_end() const noexcept { return worker_.lines.writer(); }
  int monitor_end() const noexcept { return monitor_.lines.writer(); }

  /// Called in a worker that was just forked. Keeps only `worker_end` open.
  void leave_to_worker() noexcept;

  void append_descriptors(std::vector<int>& to) const;

  /// The events for poll(2) after `pump`, and the time until which to wait for them.
  void append_events(std::vector<pollfd>& to) const;
  Clock::time_point next_attempt() const noexcept;

  /// Whether a record is pending, so that the worker may have to wait.
  bool is_blocked() const noexcept { return !pending_.empty(); }

  /// Sends the lines that are there. Never waits.
  /// \param worker the pid that the worker's records name. 0: they name none.
  void pump(pid_t worker);

  /// Sends all that is there after the worker's end, also a last line without a newline. Waits for the syslog
  /// service, but not beyond `limit`.
  void finish(pid_t worker, Clock::time_point limit);

 private:
  struct Source {
    LineReader lines;
    int usual_priority;
    int priority = 0;  // of the current line
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
  bool is_full_ = false;  // `pending_` waits because of EAGAIN
  Clock::time_point next_attempt_;
  Clock::time_point give_up_at_ = Clock::time_point::max();
  unsigned long lost_ = 0;
};

}  // namespace daemonctx
