// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>
#include <vector>

#include "daemonctx/directory.hpp"
#include "posix/unique_fd.hpp"

namespace daemonctx {

/// The directories of a start.
class Directories {
 public:
  /// Makes them in their order. Paths are absolute and without dots.
  /// \param user, group whose they are where the directory does not say.
  /// \throws DaemonError (`create_directories`); then nothing that was made is left.
  /// \note Runs in the caller.
  void make(const std::vector<Directory>& wanted, const std::string& user, const std::string& group);

  /// Removes those that were not there before and are empty, the last one first.
  void undo() noexcept;

  /// They stay. Gives up the descriptors held for `undo`. \note Runs in the daemon before it may allocate.
  void keep() noexcept;

 private:
  struct Made {
    UniqueFd parent;
    std::string name;
  };

  void make_one(const Directory& wanted, const std::string& user, const std::string& group);
  UniqueFd enter(const UniqueFd& parent, const std::string& name, const Directory& wanted);
  void create(const UniqueFd& parent, const std::string& name, mode_t mode, const Directory& wanted);

  std::vector<Made> made_;
};

}  // namespace daemonctx
