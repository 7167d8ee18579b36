// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemonctx/launch_mode.hpp"
#include "daemonctx/service_manager.hpp"
#include "posix/unique_fd.hpp"

namespace daemonctx {

/// The variable that names the descriptor of the record.
inline constexpr std::string_view hand_over_variable = "DAEMONCTX_HAND_OVER";

/// What a service gives to its successor, the process that an upgrade starts: open descriptors, by number.
/// The successor gets it as a record in sealed memory: lines of text, the first of which has the version of
/// the record. An older or newer program refuses a version that it does not know.
struct HandOver {
  static constexpr int version = 1;

  LaunchMode mode = LaunchMode::detached;
  pid_t requester = 0;         ///< who asked for the upgrade
  std::uint64_t finished = 0;  ///< upgrades before this one
  int pidfile = -1;
  int status = -1;   ///< the writing end of a status pipe
  int channel = -1;  ///< see successor.hpp
  int output = -1;   ///< what descriptors 1 and 2 lead to once the successor is ready
  int error = -1;
  int memory = -1;                             ///< what the program remembers, sealed; -1: nothing
  std::vector<ListenDescriptor> sockets = {};  ///< those of `DaemonOptions::sockets`
  std::vector<ListenDescriptor> passed = {};   ///< other descriptors of the service manager

  std::string to_text() const;

  /// \throws std::runtime_error: another version, or no record.
  static HandOver parse(std::string_view text);

  /// All descriptors.
  std::vector<int> descriptors() const;

  /// Takes the record that this process was started with, and removes the variable. Its descriptors close on
  /// exec from now on. Empty: no upgrade has started this process.
  /// \throws DaemonError (`adopt_predecessor`).
  static std::optional<HandOver> take();
};

}  // namespace daemonctx
