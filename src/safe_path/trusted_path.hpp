// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <fcntl.h>

#include <array>
#include <climits>
#include <optional>

#include "posix/unique_fd.hpp"

namespace daemonctx::posix {

/// What `find_entry` does with the last component of a path.
enum class LastComponent {
  keep,           ///< only splits it off; it need not exist
  follow,         ///< follows it if it is a symbolic link, even a dangling one; links of proc(5) are kept
  open_directory  ///< opens it as a directory
};

/// A directory and a name in it, for openat(2) and similar calls with O_NOFOLLOW.
struct DirectoryEntry {
  UniqueFd directory;
  std::array<char, NAME_MAX + 1> name = {};  ///< if empty, the directory itself
};

/// Walks a path name by name. A symbolic link is followed only if nobody but root and this user could have
/// put it there; its target is walked in the same way.
/// \param here where a relative path begins.
/// \param root where an absolute path begins, and beyond which `..` does not lead. AT_FDCWD means the
///   process's root.
/// \return 0 or an errno; ELOOP for a link that others could have put there. `entry.name` is set if that link
///   is the last component.
/// \note Neither allocates nor throws.
int find_entry(const char* path, LastComponent last, DirectoryEntry& entry, int here = AT_FDCWD,
               int root = AT_FDCWD) noexcept;

/// The descriptor of this process that an entry stands for, as the target of /dev/stdout does: no path need
/// lead to its file. Empty if the entry stands for no descriptor.
std::optional<int> own_descriptor(const DirectoryEntry& entry) noexcept;

/// Opens the directory at the end of the path, like `find_entry`. Empty, with errno, on failure.
UniqueFd open_directory(const char* path, int here = AT_FDCWD) noexcept;

}  // namespace daemonctx::posix
