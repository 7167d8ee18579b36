// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <span>

namespace daemonctx::posix {

/// Closes every descriptor from 3 up, except those in `keep`, which must be sorted.
///
/// Calls close_range(2) over the gaps. If that is missing or refused, closes the descriptors that
/// /proc/self/fd lists. Both cost time by the number of open descriptors, never by RLIMIT_NOFILE, and also
/// close descriptors above a lowered limit. Without /proc, loops over the first 65,536 numbers (or
/// RLIMIT_NOFILE, if that is less).
/// \return 0 or an errno.
/// \note Runs in the daemon before it may allocate: neither allocates nor locks.
int close_fds_except(std::span<const int> keep) noexcept;

}  // namespace daemonctx::posix
