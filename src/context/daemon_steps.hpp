// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <optional>
#include <vector>

#include "context/daemon_context_impl.hpp"

namespace daemonctx {

struct Failure {
  Step step;
  int error;
};

/// What the daemon does between the fork and its own set-up, in order. In the foreground it is less: what the starter gave
/// stays (dispositions, descriptors), and last comes what can't be put back if the start fails. Stops at the first
/// failure, whose text, if it has one, is `impl.refusal`.
///
/// Between the two parts a monitor comes to be, where there is one, and starts workers: the second part is theirs.
/// \note Runs in the daemon. No step but the user's `before_drop` allocates, locks or throws.
std::optional<Failure> take_common_steps(DaemonContext::Impl& impl) noexcept;
std::optional<Failure> take_service_steps(DaemonContext::Impl& impl) noexcept;

/// Whether the daemon will be able to enter its working directory, tried by a process of its own. \return 0 or an errno.
/// \note Runs in the caller.
int try_working_directory(DaemonContext::Impl& impl) noexcept;

/// The steps that are taken in a mode, each once.
std::vector<Step> planned_steps(LaunchMode mode);

}  // namespace daemonctx
