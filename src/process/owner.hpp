// SPDX-License-Identifier: BSL-1.0
#pragma once

namespace daemonctx::process {

/// True in the process that the context belongs to, false in a forked child of it. Costs a memory read: the
/// answer is a word on a page that the kernel wipes in every child with separate memory (madvise(2),
/// MADV_WIPEONFORK), even in a child of _Fork(3) or clone(2), which run no fork handlers. A child of vfork(2)
/// shares the memory and gets its parent's answer. Without such a page, compares pids. Thread-safe and
/// async-signal-safe.
bool is_owner() noexcept;

/// Makes this process the owner. Runs in the caller at the start, and in the daemon and each worker right
/// after their fork.
/// \note Runs in the daemon before it may allocate.
void become_owner() noexcept;

/// Makes a forked child no owner. The fork handler calls it, since the kernel may not wipe the page.
void forget_owner() noexcept;

}  // namespace daemonctx::process
