// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <posix/syscalls.hpp>

#include "unique_fd.hpp"

namespace daemonctx::posix {

/// Whom this process has to trust anyway: root and itself.
inline bool is_trusted(uid_t owner) noexcept { return owner == 0 || owner == posix::geteuid(); }

/// Whether nobody else can put a link or exchange a file in this directory; in a sticky one, what is not his.
inline bool is_guarded(const struct stat& directory) noexcept {
  const bool others_write = (directory.st_mode & (S_IWGRP | S_IWOTH)) != 0;
  return is_trusted(directory.st_uid) && (!others_write || (directory.st_mode & S_ISVTX) != 0);
}

/// Whether a symbolic link in an open directory was put there by somebody trusted.
inline bool is_trusted_link(const UniqueFd& directory, const char* name) noexcept {
  struct stat link {};
  struct stat place {};
  return posix::fstatat(directory.get(), name, &link, AT_SYMLINK_NOFOLLOW) == 0 && is_trusted(link.st_uid) &&
         posix::fstat(directory.get(), &place) == 0 && is_guarded(place);
}

}  // namespace daemonctx::posix
