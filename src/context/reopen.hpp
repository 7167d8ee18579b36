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

 private:
  void ask_monitor();

  const Plan& plan_;
  ReadinessState& readiness_;
  Resources& resources_;
  posix::Turn reopening_;
};

}  // namespace daemonctx
