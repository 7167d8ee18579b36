// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <poll.h>
#include <sys/types.h>
#include <unistd.h>

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "base/deadline.hpp"
#include "daemonctx/timeout.hpp"
#include "launch/status_pipe.hpp"
#include "process/private_fd.hpp"
#include "upgrade/hand_over.hpp"
#include "upgrade/program.hpp"

namespace daemonctx {

/// A message through the channel between a service and its successor. Either side sees the end of the other
/// by the channel's end.
enum class ChannelMessage : char {
  claim = 'c',    ///< to the successor: the identity lock is free
  claimed = 'd',  ///< from the successor: it is the service
};

/// The process that an upgrade starts, as the service sees it that is replaced. It reports through a status
/// pipe. Until it is ready the service reads what it prints, and repeats that on its own standard error. A
/// new service is no child of the old one, and has a session of its own; a new worker is a child of its
/// monitor. One thread uses an object.
class Successor {
 public:
  /// Starts the program. \param record without status, channel, output and error, which this adds.
  /// \param streams where its descriptors 1 and 2 lead to once it is ready.
  /// \throws std::system_error; DaemonError
  Successor(const Program& program, HandOver record,
            std::array<int, 2> streams = {STDOUT_FILENO, STDERR_FILENO});
  ~Successor();
  Successor(const Successor&) = delete;
  Successor& operator=(const Successor&) = delete;

  /// Wait until it is ready, and for some time in which it must not end.
  /// \param cancel a descriptor that is readable once the upgrade is to be given up.
  /// \return empty, or why not.
  std::string await_ready(Timeout longest, int cancel);
  std::string await_proof(Timeout probation, int cancel);

  /// The same for a caller that has other events to wait for, too: never wait. Empty: it is not decided yet.
  std::optional<std::string> is_ready_or_why_not();
  std::optional<std::string> end_in_probation();
  void append_events(std::vector<pollfd>& to) const;

  /// Tells it that it may claim the pidfile, and waits until it has. \return empty, or why not.
  std::string let_claim();

  pid_t pid() const noexcept { return pid_; }
  bool has_ended() const noexcept { return has_ended_; }

  /// Sends a signal. Does nothing once it has ended.
  void send(int signal) const noexcept;

  /// Waits for its end. \return whether it ended in time.
  bool await_end(posix::Clock::time_point deadline);

  /// Ends it with SIGKILL, and waits for that. `take_down` sends SIGTERM first.
  void kill() noexcept;
  void take_down() noexcept;

  /// From now on it lives on its own: the destructor leaves it alone.
  void leave() noexcept { is_left_ = true; }

 private:
  enum class Event { none, output, report, end, cancelled };

  pid_t start(const StatusWriter& status) noexcept;
  Event note_end() noexcept;
  std::optional<std::string> verdict(Event event);
  Event next_event(posix::Clock::time_point deadline, int cancel);
  void read_output();
  std::string reason_of_end();

  process::PrivateFd channel_;
  process::PrivateFd output_;
  StatusReader status_;
  UniqueFd process_;  // a pidfd; empty where the system has none
  pid_t pid_ = 0;
  bool is_child_ = false;
  std::optional<int> wait_status_;  // of a child
  std::string printed_;             // the last line
  bool has_ended_ = false;
  bool is_left_ = false;
};

}  // namespace daemonctx
