// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace daemonctx::process {

/// The name and the command line of this process, as ps(1) and top(1) list them.
class ProcessTitle {
 public:
  /// Finds the memory of the arguments, which a full title overwrites. Without /proc there is none, and only
  /// the short name changes.
  /// \param title empty: only the short name changes, and begins with the program's name.
  explicit ProcessTitle(const std::string& title);

  /// Sets "TITLE: role", or "TITLE" if `role` is empty. The kernel cuts the short name after 15 bytes
  /// (PR_SET_NAME). The full title is cut to the length of the arguments.
  /// \note Runs in the daemon before it may allocate.
  void set(std::string_view role) const noexcept;

 private:
  std::string name_;
  char* arguments_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace daemonctx::process
