// SPDX-License-Identifier: BSL-1.0
#pragma once

namespace daemonctx::process {

/// Whether this is the process that the context belongs to, and not a forked child of it. Costs a memory
/// read: the answer is a word on a page that the kernel wipes in every child with memory of its own
/// (madvise(2), MADV_WIPEONFORK), also in one of _Fork(3) or clone(2), which run no fork handlers. A child of
/// vfork(2) shares the memory, and is told what its parent is told. Thread-safe and async-signal-safe.
bool is_owner() noexcept;

/// Makes this process the owner: the caller at the start, our own daemon and each worker right after their
/// fork.
/// \note Runs in the daemon before it may allocate.
void become_owner() noexcept;

/// For the fork handler, where the page can't be relied on.
void forget_owner() noexcept;

}  // namespace daemonctx::process
