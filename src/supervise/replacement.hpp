// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <string>
#include <utility>
#include <vector>

#include "base/deadline.hpp"
#include "daemonctx/service_manager.hpp"
#include "process/private_fd.hpp"
#include "supervise/worker_self.hpp"
#include "upgrade/hand_over.hpp"
#include "upgrade/successor.hpp"

namespace daemonctx {

/// A worker of a new version of the program, as its monitor sees it until the new version has proved itself.
/// The worker of the version before serves on meanwhile.
struct Replacement {
  Replacement(Program started, HandOver record, std::array<int, 2> streams)
      : program(std::move(started)), successor(program, std::move(record), streams) {}

  Program program;
  Successor successor;
  process::PrivateFd connection = {};
  process::PrivateFd lifeline = {};  ///< closing it kills the worker
  UniqueFd notes = {};               ///< memory for its crash notes
  HandedWorker worker = {};          ///< what it has told; the descriptors are those above
  std::array<UniqueFd, 2> remembered = {};
  std::vector<std::pair<std::string, UniqueFd>> sockets = {};  ///< by the names in a list for a successor
  std::string status = {};                                     ///< its last STATUS=
  std::uint64_t reloads = 0;
  bool is_in_probation = false;
  posix::Clock::time_point deadline = {};  ///< to be ready, then of the probation
};

/// A worker that is to end: one of the former version, or one of a version that was refused.
struct LeavingWorker {
  pid_t pid = 0;
  process::PrivateFd connection = {};
  process::PrivateFd lifeline = {};
  posix::Clock::time_point kill_at = {};
};

}  // namespace daemonctx
