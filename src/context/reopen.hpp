// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "context/plan.hpp"
#include "context/readiness.hpp"
#include "context/resources.hpp"

namespace daemonctx {

/// Reopens the files of standard output and error. Thread-safe.
class OutputReopening {
 public:
  OutputReopening(const Plan& plan, ReadinessState& readiness, Resources& resources) noexcept
      : plan_(plan), readiness_(readiness), resources_(resources) {}

  /// Does nothing before the daemon is ready: until then output goes to the terminal.
  /// \throws DaemonError (`open_stdio`, `redirect_stdio`); the old files stay in use.
  void run();

  /// As `run`, before a reload: a rotation may have renamed the files. Opens nothing where no stream has a
  /// file of its own. \throws as `run`
  void before_reload();

  /// Repairs output that a full disk, a closed FIFO or journal has broken. Does nothing before the daemon is
  /// ready. \return when to call it again at the latest
  std::chrono::steady_clock::time_point repair() noexcept;
  std::array<int, 2> watched() const noexcept;

 private:
  void ask_monitor();

  const Plan& plan_;
  ReadinessState& readiness_;
  Resources& resources_;
  posix::Turn reopening_;
  mutable std::mutex repairing_;
};

}  // namespace daemonctx
