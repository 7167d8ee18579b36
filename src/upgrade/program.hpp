// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "daemonctx/signal_map.hpp"

namespace daemonctx {

/// A program with all that it is started with.
struct Program {
  std::string file;  ///< absolute; a symbolic link in it leads to the newest version
  std::vector<std::string> arguments;
  std::vector<std::string> environment;  ///< "NAME=value"
  std::string directory;
  mode_t umask = 022;

  /// This process's program, as it was started. Call it before the process changes its directory, its
  /// environment or its umask. Leaves out the variables by which a service manager names a process or passes
  /// descriptors: another process has another pid.
  /// \throws std::system_error, as where /proc is missing.
  static Program of_this_process();
};

/// This process's program for later upgrades.
struct OwnProgram {
  bool is_wanted = false;  ///< the service offers upgrades
  std::optional<Program> program = {};
  std::string fault = {};  ///< why `program` is empty

  /// Notes it if a signal is mapped to `Action::upgrade`. Call it first in a start.
  void note(const SignalMap& map);
};

/// Puts the file that a requester shows for its upgrade into `program`. \return empty, or why it is refused.
std::string take_requested_file(int pidfile, const SignalInfo& request, Program& program);

/// The arguments for execve(2), made before a fork.
class ExecArguments {
 public:
  explicit ExecArguments(const std::vector<std::string>& words) {
    pointers_.reserve(words.size() + 1);
    for (const std::string& word : words) pointers_.push_back(const_cast<char*>(word.c_str()));
    pointers_.push_back(nullptr);
  }
  char* const* get() const noexcept { return pointers_.data(); }

 private:
  std::vector<char*> pointers_;  // into the words
};

}  // namespace daemonctx
