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

class ScopedCleanup;

/// A handle to one registered cleanup. Copies name the same cleanup, and destroying a handle changes nothing.
/// All members are thread-safe. After the end of the `DaemonContext`, and in a forked child, they do nothing.
class DAEMONCTX_EXPORT Cleanup {
 public:
  /// Names no cleanup.
  Cleanup() noexcept = default;

  /// Forgets the cleanup, which then never runs. False if the cleanup has run, is running or was released.
  bool release() const;

  /// Runs the cleanup now, in this thread, and never again. Where `release` returns false, runs nothing and
  /// returns false.
  /// \throws whatever the cleanup throws.
  bool run_now() const;

 private:
  friend class detail::CleanupStack;
  friend class ScopedCleanup;
  Cleanup(detail::CleanupStack* stack, std::uint64_t serial) noexcept;

  bool finish(bool run) const;

  const void* context_ = nullptr;  // `stack_` is valid while this context is open
  detail::CleanupStack* stack_ = nullptr;
  std::uint64_t serial_ = 0;
};

/// A cleanup that goes with the objects it refers to. `on_exit` returns a `Cleanup`, which converts:
///
///     Connection connection(...);
///     const daemonctx::ScopedCleanup closes = context.on_exit([&] { connection.close(); });
///
/// The destructor runs the cleanup, unless the end of the context or `release` came first. So the cleanup runs
/// while `connection` is there, also if the process ends by `std::exit`. If another thread runs the end
/// meanwhile, the destructor waits for it, as `~DaemonContext` does. An exception goes to
/// `DaemonOptions::on_error`. Reentrant.
class [[nodiscard]] DAEMONCTX_EXPORT ScopedCleanup {
 public:
  ScopedCleanup() noexcept = default;
  ScopedCleanup(Cleanup cleanup) noexcept : cleanup_(cleanup) {}  // NOLINT(*-explicit-*)
  ~ScopedCleanup() { finish(); }
  ScopedCleanup(ScopedCleanup&& other) noexcept : cleanup_(std::exchange(other.cleanup_, {})) {}
  ScopedCleanup& operator=(ScopedCleanup&& other) noexcept {
    if (this == &other) return *this;
    finish();
    cleanup_ = std::exchange(other.cleanup_, {});
    return *this;
  }

  /// As `Cleanup::release`. The destructor then does nothing.
  bool release() { return std::exchange(cleanup_, {}).release(); }

 private:
  void finish() noexcept;

  Cleanup cleanup_;
};

namespace detail {

/// The cleanups of a context, run once each, last registered first. Not for use on its own. A small callable
/// is stored in place; a larger callable costs one allocation.
///
/// Thread-safe: any thread may push, release or run at any time, also from within a cleanup. A cleanup pushed
/// there runs next. Not async-signal-safe.
class DAEMONCTX_EXPORT CleanupStack {
 public:
  CleanupStack() noexcept;
  ~CleanupStack();  ///< Drops the cleanups that have not run.
  CleanupStack(const CleanupStack&) = delete;
  CleanupStack& operator=(const CleanupStack&) = delete;

  /// Registers `callable`, which takes no argument and may be move-only. Its result is dropped.
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

  /// Runs and forgets the last cleanup. Its exception is handed to `report(std::exception_ptr)`.
  /// \return false if there was no cleanup.
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

  /// For the handlers around a fork: in the child no cleanup is half registered, and the lock is free.
  void lock() noexcept { mutex_.lock(); }
  void unlock() noexcept { mutex_.unlock(); }

  /// Receives what a scoped cleanup throws. `state` is that of the gate.
  using Report = void (*)(void* state, const std::exception_ptr& error);

  /// Sets the context of these cleanups: `Cleanup` uses the stack only while `context` is open.
  void set_context(const void* context, Report report) noexcept {
    context_ = context;
    report_ = report;
  }

 private:
  friend class daemonctx::Cleanup;
  friend class daemonctx::ScopedCleanup;

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

  // No user code runs under the lock: the callable is made between `take_place` and `link`.
  Entry* take_place() {  // null: all places are taken
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

  Entry* unlink(std::uint64_t serial) noexcept;  // null: no such cleanup

  Entry* last_ = nullptr;
  Entry* free_ = nullptr;
  const void* context_ = nullptr;
  Report report_ = nullptr;
  std::uint64_t serial_ = 0;
  std::mutex mutex_;
  std::array<Entry, 16> places_;
};

}  // namespace detail
}  // namespace daemonctx
