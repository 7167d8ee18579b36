// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <poll.h>
#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "base/deadline.hpp"
#include "daemonctx/crash_report.hpp"
#include "process/private_fd.hpp"

namespace daemonctx {

/// Turns the stacks of one worker into lines, in a child of the monitor without privileges: the monitor may
/// be root, and must not parse what a worker wrote.
class CrashLines {
 public:
  CrashLines() noexcept = default;
  ~CrashLines() = default;
  CrashLines(const CrashLines&) = delete;
  CrashLines& operator=(const CrashLines&) = delete;

  /// Starts the child, unless there is no resolver or no thread.
  void begin(const CrashReport& resolver, pid_t worker, const std::vector<CrashedThread>& threads);

  bool is_running() const noexcept { return child_ != 0; }

  /// When to call `take` at the latest, and what to poll before.
  posix::Clock::time_point deadline() const noexcept;
  pollfd event() const noexcept { return {output_.get(), POLLIN, 0}; }

  /// The lines, as soon as the child has written all or is out of time. Never waits.
  std::optional<std::vector<std::string>> take();

  /// Waits for the lines, and gives up those that take longer. Empty if there is no child.
  std::vector<std::string> finish(std::chrono::milliseconds longest);

  /// Call it in a worker that was just forked: the child is not its own.
  void leave_to_monitor() noexcept;

 private:
  void end_child() noexcept;

  pid_t child_ = 0;
  pid_t worker_ = 0;
  process::PrivateFd output_;
  std::string text_;
  posix::Clock::time_point deadline_;
};

}  // namespace daemonctx
