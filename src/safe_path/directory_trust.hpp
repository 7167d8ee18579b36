// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <posix/syscalls.hpp>

#include "posix/unique_fd.hpp"

namespace daemonctx::posix {

/// Whom this process has to trust anyway: root and itself.
inline bool is_trusted(uid_t owner) noexcept { return owner == 0 || owner == posix::geteuid(); }

/// Whether nobody else can put a link or exchange a file in this directory; in a sticky one, what is not his.
inline bool is_guarded(const struct stat& directory) noexcept {
  const bool others_write = (directory.st_mode & (S_IWGRP | S_IWOTH)) != 0;
  return is_trusted(directory.st_uid) && (!others_write || (directory.st_mode & S_ISVTX) != 0);
}

/// Whether others can give what is in a directory another name. Its own user may share it with his group.
inline bool is_open_to_moves(const struct stat& directory) noexcept {
  const bool is_own = posix::geteuid() != 0 && directory.st_uid == posix::geteuid();
  return !is_guarded(directory) && (!is_own || (directory.st_mode & S_IWOTH) != 0);
}

/// Whether a symbolic link in an open directory was put there by somebody trusted. Where others may write,
/// one with several names may have been put there by them.
inline bool is_trusted_link(const UniqueFd& directory, const struct stat& link) noexcept {
  struct stat place {};
  if (!is_trusted(link.st_uid) || posix::fstat(directory.get(), &place) == -1 || !is_guarded(place))
    return false;
  return link.st_nlink == 1 || (place.st_mode & S_IWOTH) == 0;
}

}  // namespace daemonctx::posix
