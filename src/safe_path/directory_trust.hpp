// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <posix/syscalls.hpp>

#include "posix/unique_fd.hpp"

namespace daemonctx::posix {

/// True for the users that this process must trust anyway: root and its own effective user.
inline bool is_trusted(uid_t owner) noexcept { return owner == 0 || owner == posix::geteuid(); }

/// True if only root or this user can add or replace entries. In a sticky directory others may add entries,
/// but can replace only their own.
inline bool is_guarded(const struct stat& directory) noexcept {
  const bool others_write = (directory.st_mode & (S_IWGRP | S_IWOTH)) != 0;
  return is_trusted(directory.st_uid) && (!others_write || (directory.st_mode & S_ISVTX) != 0);
}

/// True if others can rename the entries of a directory. A user other than root may share an own directory
/// with its group.
inline bool is_open_to_moves(const struct stat& directory) noexcept {
  const bool is_own = posix::geteuid() != 0 && directory.st_uid == posix::geteuid();
  return !is_guarded(directory) && (!is_own || (directory.st_mode & S_IWOTH) != 0);
}

/// True if a trusted user put the symbolic link into this open directory. A link with several names counts
/// only where not everybody may write: another user may have put such a link there.
inline bool is_trusted_link(const UniqueFd& directory, const struct stat& link) noexcept {
  struct stat place {};
  if (!is_trusted(link.st_uid) || posix::fstat(directory.get(), &place) == -1 || !is_guarded(place))
    return false;
  return link.st_nlink == 1 || (place.st_mode & S_IWOTH) == 0;
}

}  // namespace daemonctx::posix
