// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <pthread.h>
#include <signal.h>
#include <sys/types.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <type_traits>

#include "daemonctx/signal_map.hpp"
#include "posix/futex.hpp"
#include "posix/wake_fd.hpp"

namespace daemonctx::process {

static_assert(NSIG - 1 <= 64, "a bit for each signal");
static_assert(std::atomic<std::uint64_t>::is_always_lock_free && std::atomic<pthread_t>::is_always_lock_free,
              "what a signal handler touches must not lock");

/// The last values that came with one signal. Handlers of the same signal may run in several threads at once.
/// One of them writes; the others store nothing, since their signals count as simultaneous. A reader that is
/// disturbed reads again.
class SignalSlot {
 public:
  void store(const siginfo_t& info) noexcept;  ///< async-signal-safe
  SignalInfo load(int number) const noexcept;
  void clear() noexcept;

 private:
  std::atomic<bool> writing_ = false;
  std::atomic<unsigned> version_ = 0;
  std::atomic<pid_t> pid_ = 0;
  std::atomic<uid_t> uid_ = 0;
  std::atomic<int> value_ = 0;
  std::atomic<bool> by_kernel_ = false;
};

/// All data that the signal handler reads, and its notes of arrived signals. A process has one inbox.
struct SignalInbox {
  std::atomic<pid_t> owner = 0;  ///< a child made by vfork(2) shares this memory and must not write to it
  std::atomic<bool> receives = false;  ///< there is a dispatcher
  std::atomic<std::uint64_t> pending = 0;
  std::atomic<std::uint64_t> terminating = 0;
  std::atomic<std::uint64_t> held = 0;  ///< stay pending: no action is mapped yet
  std::atomic<bool> stop = false;
  /// Not 0 after a stop or at the end of the context: no thread may wait any more.
  posix::FutexWord waits_end = 0;
  std::atomic<pthread_t> waiter = {};  ///< the thread inside ppoll(2); a signal to it ends that call
  posix::LastingWakeFd wake;           ///< closed only in a child: a handler may be about to write to it
  posix::LastingWakeFd stop_wake;      ///< notified by each stop signal; closed where no upgrade was begun
  std::array<SignalSlot, NSIG> slots;

  /// The pending signals that have an action.
  std::uint64_t due() const noexcept { return pending & ~held; }

  /// Clears the data that a fork or an earlier dispatcher may have left, perhaps half written.
  void clear() noexcept;

  /// Closes the descriptors in a child, which shares them with its parent.
  void close() noexcept {
    wake.close();
    stop_wake.close();
  }
};

extern constinit SignalInbox signal_inbox;  // usable before main, and after exit
static_assert(std::is_trivially_destructible_v<SignalInbox>);

}  // namespace daemonctx::process
