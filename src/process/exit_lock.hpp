// SPDX-License-Identifier: BSL-1.0
#pragma once

namespace daemonctx::process {

/// The lock that exit(3) of the GNU C library holds since version 2.41 while it runs its handlers. A thread
/// that calls std::exit meanwhile waits there, and no handler of this library learns of it.
class ExitLock {
 public:
  /// Empty where the C library has no such lock or keeps it elsewhere.
  /// \pre this thread is in an exit handler.
  static ExitLock held_by_this_thread() noexcept;

  explicit operator bool() const noexcept { return word_ != nullptr; }

  /// True if another thread waits for the lock.
  bool is_awaited() const noexcept;

 private:
  const int* word_ = nullptr;
};

}  // namespace daemonctx::process
