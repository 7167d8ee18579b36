// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <optional>

#include "daemonctx/daemon_options.hpp"
#include "daemonctx/error.hpp"
#include "launch/launch_decision.hpp"
#include "posix/identity.hpp"

namespace daemonctx {

/// What a start was told and has decided. Constant once the user is looked up.
struct Plan {
  DaemonOptions options;
  LaunchDecision launch;
  std::optional<posix::Identity> identity = {};  ///< whom the daemon becomes

  bool detaches() const noexcept { return launch.mode == LaunchMode::detached; }
  bool is_supervised() const noexcept { return options.respawn.has_value(); }
  bool is_restricted() const noexcept { return options.no_new_privileges || !options.restrictions.empty(); }

  /// The signal map that is in force: the given one over the defaults.
  SignalMap signal_map() const;

  /// The option that a step works on.
  std::string subject_of(Step step) const;
};

}  // namespace daemonctx
