// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/stat.h>

#include <string>
#include <vector>

#include "daemonctx/directory.hpp"
#include "posix/unique_fd.hpp"

namespace daemonctx {

/// Makes the directories of a start. If the start fails, everything is as before.
class Directories {
 public:
  /// Creates the directories that are missing, in their order, and opens all. An existing directory keeps its
  /// owner and mode. Paths are absolute and without dots.
  /// \param user, group the owner of a directory that names none.
  /// \throws DaemonError (`create_directories`); the directories it made are removed before.
  /// \note Runs in the caller.
  void create(const std::vector<Directory>& wanted, const std::string& user, const std::string& group);

  /// Gives each directory its owner and mode. To be called with the pidfile locked: a refused start must not
  /// change the directories of the running daemon.
  /// \throws DaemonError (`create_directories`). \note Runs in the caller.
  void give_owner_and_mode();

  /// Puts owner and mode back, and removes the directories that `create` made and that are empty.
  void undo() noexcept;

  /// Keeps the directories: closes the descriptors held for `undo`.
  /// \note Runs in the daemon before it may allocate.
  void keep() noexcept;

 private:
  struct Made {
    UniqueFd parent;
    std::string name;
  };

  struct Change {
    UniqueFd directory;
    Directory wanted;
    uid_t uid;
    gid_t gid;
    struct stat before;
    bool is_begun = false;
  };

  void create_one(const Directory& wanted, const std::string& user, const std::string& group);
  UniqueFd enter(const UniqueFd& parent, const std::string& name, const Directory& wanted);
  void make_directory(const UniqueFd& parent, const std::string& name, mode_t mode, const Directory& wanted);

  std::vector<Made> made_;
  std::vector<Change> changes_;
};

}  // namespace daemonctx
