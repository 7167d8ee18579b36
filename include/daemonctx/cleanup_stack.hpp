// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <new>
#include <type_traits>
#include <utility>

#include "daemonctx/detail/cleanup_entry.hpp"
#include "daemonctx/export.hpp"

namespace daemonctx {

namespace detail {
class CleanupStack;
}

/// Names one registered cleanup. A plain value: copies name the same cleanup, and dropping it changes
/// nothing. Its members are thread-safe. After the end of the `DaemonContext`, and in a forked child, they do
/// nothing.
class DAEMONCTX_EXPORT Cleanup {
 public:
  /// Names none.
  Cleanup() noexcept = default;

  /// Forgets the cleanup: it will not run. False if it has run, is running or was released before.
  bool release() const;

  /// Runs the cleanup now, in this thread, and never again. False, without running it, as above.
  /// \throws whatever the cleanup throws.
  bool run_now() const;

 private:
  friend class detail::CleanupStack;
  Cleanup(detail::CleanupStack* stack, std::uint64_t serial) noexcept;

  bool finish(bool run) const;

  const void* context_ = nullptr;  // the stack is there as long as that is open
  detail::CleanupStack* stack_ = nullptr;
  std::uint64_t serial_ = 0;
};

namespace detail {

/// Part of a context, not for use on its own: callables to run once, last registered first. Small ones live
/// in place, a larger one costs one allocation.
///
/// Thread-safe: any thread may push, release or run at any time, also from within a cleanup (one pushed there
/// runs next). Not async-signal-safe.
class DAEMONCTX_EXPORT CleanupStack {
 public:
  CleanupStack() noexcept;
  ~CleanupStack();  ///< Forgets what has not run.
  CleanupStack(const CleanupStack&) = delete;
  CleanupStack& operator=(const CleanupStack&) = delete;

  /// Registers `callable`, which takes no argument; its result is dropped. It may be move-only.
  /// \throws std::bad_alloc, or what moving the callable throws; then nothing is registered.
  template <class F>
  Cleanup push(F&& callable) {
    using Callable = std::decay_t<F>;
    static_assert(std::is_invocable_v<Callable&>, "a cleanup is called without arguments");
    if constexpr (fits_in_place<Callable, F>) {
      if (Entry* entry = take_place()) {
        ::new (static_cast<void*>(entry->place.data())) Callable(std::forward<F>(callable));
        return link(entry, &finish_in_place<Callable>);
      }
    }
    auto apart = std::make_unique<CleanupEntryApart<Callable>>(std::forward<F>(callable));
    return link(apart.release(), &CleanupEntryApart<Callable>::run_and_free);
  }

  /// Runs and forgets the last one. What it throws is handed to `report(std::exception_ptr)`.
  /// \return false if there was none.
  template <class Report>
  bool run_last(Report&& report) {
    Entry* entry = unlink_last();
    if (entry == nullptr) return false;
    try {
      entry->finish(this, entry, true);
    } catch (...) {
      report(std::current_exception());
    }
    return true;
  }

  /// Around a fork: in the child nothing is half registered, and the lock is free.
  void lock() noexcept { mutex_.lock(); }
  void unlock() noexcept { mutex_.unlock(); }

  /// Says that it is there as long as that context is open.
  void set_context(const void* context) noexcept { context_ = context; }

 private:
  friend class daemonctx::Cleanup;

  using Entry = CleanupEntry;
  using Lock = CleanupLock;

  template <class F>
  static void finish_in_place(CleanupStack* stack, Entry* entry, bool run) {
    F* callable = std::launder(reinterpret_cast<F*>(entry->place.data()));
    const detail::AtScopeEnd last([=] {
      callable->~F();
      stack->give_back(entry);
    });
    if (run) static_cast<void>((*callable)());
  }

  // No code of the user's runs under the lock: a callable is made between take_place and link.
  Entry* take_place() {  // null: all are taken
    const Lock lock(mutex_);
    return std::exchange(free_, free_ != nullptr ? free_->below : nullptr);
  }

  void give_back(Entry* entry) {
    const Lock lock(mutex_);
    entry->below = free_;
    free_ = entry;
  }

  Cleanup link(Entry* entry, Entry::Finish finish) noexcept {
    const Lock lock(mutex_);
    entry->finish = finish;
    entry->serial = ++serial_;
    entry->below = last_;
    last_ = entry;
    return {this, entry->serial};
  }

  Entry* unlink_last() {  // null: empty
    const Lock lock(mutex_);
    Entry* entry = last_;
    if (entry != nullptr) last_ = entry->below;
    return entry;
  }

  Entry* unlink(std::uint64_t serial) noexcept;  // null: not there

  Entry* last_ = nullptr;
  Entry* free_ = nullptr;
  const void* context_ = nullptr;
  std::uint64_t serial_ = 0;
  std::mutex mutex_;
  std::array<Entry, 16> places_;
};

}  // namespace detail
}  // namespace daemonctx
