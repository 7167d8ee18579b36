// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

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
