// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "unique_fd.hpp"

namespace daemonctx::posix {

/// Walks to the directory that a file lies in, name by name. A symbolic link on the way is followed only if nobody but
/// root and this user could have put it there; the file itself is not looked at.
/// \return for openat(2) and the like, with `name_of` the same path; empty with errno, ELOOP for such a link.
UniqueFd open_directory_of(const char* path) noexcept;

/// What follows the last slash.
const char* name_of(const char* path) noexcept;

}  // namespace daemonctx::posix
