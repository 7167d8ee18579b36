// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <cstdint>
#include <posix/syscalls.hpp>

namespace daemonctx::posix {

/// While it lives, the kernel leaves the C library's note of this thread's id alone if the process is
/// killed. A child that borrows the memory by vfork(2) lives on, and takes locks with that note: with an
/// id of 0 it would pass for the owner of each free lock (pthread_rwlock_rdlock(3): EDEADLK), and unlock
/// what it has not locked. Does nothing where the kernel does not tell the note's address (prctl(2),
/// PR_GET_TID_ADDRESS).
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
