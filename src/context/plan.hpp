// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <optional>

#include "daemonctx/daemon_options.hpp"
#include "daemonctx/error.hpp"
#include "launch/launch_decision.hpp"
#include "output/open_target.hpp"
#include "posix/identity.hpp"

namespace daemonctx {

/// The options of a start, and its decisions. Constant once the user is looked up.
struct Plan {
  DaemonOptions options;
  LaunchDecision launch;
  std::optional<posix::Identity> identity = {};  ///< of the user that the daemon becomes; empty: no change

  bool detaches() const noexcept { return launch.mode == LaunchMode::detached; }
  bool is_supervised() const noexcept { return options.respawn; }
  bool is_restricted() const noexcept { return options.no_new_privileges || !options.restrictions.empty(); }

  /// The user that the daemon becomes. Empty: no change.
  std::optional<FileOwner> user() const {
    return identity ? std::optional(FileOwner{identity->uid, identity->gid}) : std::nullopt;
  }

  /// The signal map in force: the defaults, overridden by `options.signal_map`.
  SignalMap signal_map() const;

  /// The value of the option that a step works on, for messages. Empty: the step has none.
  std::string subject_of(Step step) const;

  /// The error for a step that failed. An empty `text` means step, subject and errno in words.
  DaemonError error_of(Step step, int error, std::string_view text = {}) const;

 private:
  bool changes_only_group() const noexcept;
};

}  // namespace daemonctx
