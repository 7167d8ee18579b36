// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <cstdint>
#include <posix/syscalls.hpp>

namespace daemonctx::posix {

/// Keeps the kernel from setting this thread's id, which the C library has in memory, to 0 when the thread
/// dies. A child of vfork(2) shares that memory and can outlive the thread. If the id became 0, glibc would
/// take the child for the owner of each free lock (pthread_rwlock_rdlock(3) fails with EDEADLK). Does nothing
/// on a kernel without PR_GET_TID_ADDRESS (prctl(2)).
class ThreadIdKeeper {
 public:
  ThreadIdKeeper() noexcept {
#if defined(PR_GET_TID_ADDRESS) && defined(SYS_set_tid_address)
    // A 64-bit kernel writes eight bytes for a 32-bit program, too.
    std::array<std::uintptr_t, 8 / sizeof(std::uintptr_t)> address{};
    if (posix::prctl(PR_GET_TID_ADDRESS, address.data()) != 0) return;
    for (const std::uintptr_t half : address) address_ |= half;
    set(0);
#endif
  }
  ~ThreadIdKeeper() {
    if (address_ != 0) set(address_);
  }
  ThreadIdKeeper(const ThreadIdKeeper&) = delete;
  ThreadIdKeeper& operator=(const ThreadIdKeeper&) = delete;

 private:
  static void set([[maybe_unused]] std::uintptr_t address) noexcept {
#if defined(SYS_set_tid_address)
    posix::syscall(SYS_set_tid_address, address);
#endif
  }

  std::uintptr_t address_ = 0;
};

}  // namespace daemonctx::posix
