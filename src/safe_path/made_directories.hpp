// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/stat.h>

#include <string>
#include <vector>

#include "daemonctx/directory.hpp"
#include "daemonctx/path.hpp"
#include "posix/unique_fd.hpp"

namespace daemonctx {

/// The absolute `path` without symbolic links and `..`, as far as it exists (realpath(3)); the rest
/// unchanged.
Path real_path(const Path& path);

/// Makes the directories of a start. If the start fails, everything is as before.
class Directories {
 public:
  /// Creates the directories that are missing, in their order. An existing directory keeps its owner and
  /// mode. Paths are absolute and without dots.
  /// \throws DaemonError (`create_directories`); call `undo`.
  /// \note Runs in the caller.
  void make(const std::vector<Directory>& wanted);

  /// Does what `make` does, and opens and checks all directories.
  /// \param user, group the owner of a directory that names none.
  void create(const std::vector<Directory>& wanted, const std::string& user, const std::string& group);

  /// Checks that `create` would succeed, and creates nothing.
  /// \return for each directory that is missing, the first missing one on its path.
  /// \throws DaemonError (`create_directories`).
  static std::vector<Path> check(const std::vector<Directory>& wanted, const std::string& user,
                                 const std::string& group);

  /// Gives each directory its owner and mode. To be called with the pidfile locked: a refused start must not
  /// change the directories of the running daemon.
  /// \throws DaemonError (`create_directories`). \note Runs in the caller.
  void give_owner_and_mode();

  /// Puts owner and mode back, and removes the directories that were made and are empty. To be called with
  /// the pidfile locked.
  void undo() noexcept;
  bool can_undo() const noexcept;

  /// Removes the directories that were made and are empty.
  void remove_made() noexcept;

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

  // Returns the parent directory; in a check, none if the directory is missing.
  UniqueFd make_one(const Directory& wanted);
  void create_one(const Directory& wanted, const std::string& user, const std::string& group);
  // Returns the directory; in a check, none if it is missing.
  UniqueFd enter(const UniqueFd& parent, const std::string& name, const Path& path, const Directory& wanted);
  void make_directory(const UniqueFd& parent, const std::string& name, mode_t mode, const Directory& wanted);
  bool is_missing(const UniqueFd& parent, const std::string& name, const Path& path, const Directory& wanted);

  bool creates_ = true;
  std::vector<Path> missing_;  // in a check: what `check` returns
  std::vector<Made> made_;
  std::vector<Change> changes_;
};

}  // namespace daemonctx
