// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <span>

namespace daemonctx::posix {

/// Closes every descriptor from 3 up, except those in `keep`, which is sorted. The cost follows the number of
/// open descriptors, never RLIMIT_NOFILE, and descriptors above a lowered limit are closed too.
///
/// First close_range(2) over the gaps; where that is missing or refused, what /proc/self/fd lists; without
/// /proc, a loop over the first 65,536 (or RLIMIT_NOFILE, if that is less).
/// \return 0 or an errno.
/// \note Runs in the daemon before it may allocate: neither allocates nor locks.
int close_fds_except(std::span<const int> keep) noexcept;

}  // namespace daemonctx::posix
