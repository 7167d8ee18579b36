// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <fcntl.h>

#include <array>
#include <climits>
#include <optional>

#include "posix/unique_fd.hpp"

namespace daemonctx::posix {

/// What to do with the last name of a path.
enum class LastName {
  left,      ///< it is not looked at
  followed,  ///< if it is a link, to where that leads, though there be nothing; one of proc(5) is left
  entered,   ///< it is a directory
};

/// Where a path leads: a directory, for openat(2) and the like with O_NOFOLLOW, and a name in it.
struct Place {
  UniqueFd directory;
  std::array<char, NAME_MAX + 1> name = {};  ///< empty: the directory itself
};

/// Walks a path name by name. A symbolic link is followed only if nobody but root and this user could have put it there;
/// where it leads is walked in the same way.
/// \param here where a relative path begins.
/// \param root where an absolute one begins, and beyond which `..` does not lead; AT_FDCWD: the process's.
/// \return 0 or an errno; ELOOP for a link that others could have put there, with `place.name` if it is the last.
/// \note Neither allocates nor throws.
int find_place(const char* path, LastName last, Place& place, int here = AT_FDCWD,
               int root = AT_FDCWD) noexcept;

/// The descriptor of this process that a place stands for, as what /dev/stdout leads to: what that is can't be reached by
/// a path. Empty if it is none.
std::optional<int> own_descriptor(const Place& place) noexcept;

/// The directory itself. Empty with errno.
UniqueFd open_directory(const char* path, int here = AT_FDCWD) noexcept;

}  // namespace daemonctx::posix
