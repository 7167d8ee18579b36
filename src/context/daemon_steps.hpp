// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <optional>
#include <vector>

#include "context/daemon_context_impl.hpp"

namespace daemonctx {

struct FailedStep {
  Step step;
  int error;
};

/// Run the steps of the daemon between the fork and its own set-up, in order. In the foreground the starter's
/// dispositions and descriptors stay. There the steps that a failed start can't undo come last.
/// Each stops at the first failure, whose text, if it has one, is `impl.refusal`.
///
/// A monitor runs only the first part, then starts workers. Each worker runs the second part.
/// \note Runs in the daemon. No step throws. Only the user's `before_drop`, and the text of a failed
///   restriction, allocate.
/// Takes the identity lock, and writes pid and tag. \return 0 or an errno.
int claim_pidfile(DaemonContext::Impl& impl) noexcept;

std::optional<FailedStep> run_monitor_steps(DaemonContext::Impl& impl) noexcept;
std::optional<FailedStep> run_worker_steps(DaemonContext::Impl& impl) noexcept;

/// Checks, in a child process, that the daemon can enter its working directory. Does nothing with
/// `before_drop`.
/// \throws DaemonError (`change_directory`). \note Runs in the caller.
void check_working_directory(DaemonContext::Impl& impl);

/// The steps of a mode in order, each once.
std::vector<Step> planned_steps(LaunchMode mode);

}  // namespace daemonctx
