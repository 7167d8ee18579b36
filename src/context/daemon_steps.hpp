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

/// What the daemon does between the fork and its own set-up, in order. In the foreground it is less: what the
/// starter gave stays (dispositions, descriptors), and last comes what can't be put back if the start fails.
/// Stops at the first failure, whose text, if it has one, is `impl.refusal`.
///
/// Between the two parts a monitor comes to be, where there is one, and starts workers: the second part is
/// theirs.
/// \note Runs in the daemon. No step but the user's `before_drop` allocates, locks or throws.
std::optional<FailedStep> run_monitor_steps(DaemonContext::Impl& impl) noexcept;
std::optional<FailedStep> run_worker_steps(DaemonContext::Impl& impl) noexcept;

/// Makes sure that the daemon will be able to enter its working directory, by a process of its own.
/// \throws DaemonError (`change_directory`). \note Runs in the caller.
void check_working_directory(DaemonContext::Impl& impl);

/// The steps that are taken in a mode, each once.
std::vector<Step> planned_steps(LaunchMode mode);

}  // namespace daemonctx
