// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "daemonctx/path.hpp"
#include "posix/unique_fd.hpp"

namespace daemonctx::posix {

/// Opens a regular file for reading on behalf of a process with fewer rights. Empty, with errno, on failure;
/// ELOOP or EPERM if anybody but root and this user could have put another file in its place.
UniqueFd open_trusted_file(const Path& path) noexcept;

}  // namespace daemonctx::posix
