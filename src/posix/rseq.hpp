// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <cerrno>
#include <posix/syscalls.hpp>

#if __has_include(<sys/rseq.h>)
#include <sys/rseq.h>
#endif

namespace daemonctx::posix {

/// Registers this thread's restartable sequences (rseq(2)) anew. The kernel drops the registration in a child
/// of vfork(2), and so in that child's children, but the C library still relies on it. sched_getcpu(3) would
/// report an old processor for ever, and per-processor allocators would corrupt their lists.
/// \note Runs in the daemon before it may allocate.
inline void restore_rseq() noexcept {
#if defined(RSEQ_SIG) && defined(SYS_rseq)
  if (__rseq_size == 0) return;
  auto* area = reinterpret_cast<struct rseq*>(static_cast<char*>(__builtin_thread_pointer()) + __rseq_offset);
  constexpr unsigned original_size = 32;
  if (posix::syscall(SYS_rseq, area, std::max(__rseq_size, original_size), 0, RSEQ_SIG) == 0 ||
      errno == EBUSY)
    return;
  area->cpu_id =
      static_cast<unsigned>(RSEQ_CPU_ID_REGISTRATION_FAILED);  // the C library then asks the kernel
#endif
}

}  // namespace daemonctx::posix
