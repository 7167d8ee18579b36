// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <pthread.h>

#include <array>
#include <cstdint>
#include <exception>
#include <new>
#include <type_traits>
#include <utility>

#include "daemonctx/cleanup.hpp"
#include "daemonctx/detail/cleanup_entry.hpp"
#include "daemonctx/export.hpp"

namespace daemonctx::detail {

/// The cleanups of a context, run once each, last registered first. Not for use on its own. A callable
/// of more than 32 bytes costs one allocation. Sixteen places lie in the stack itself; when they are taken,
/// the stack allocates 63 more at a time. The number of cleanups does not slow any operation down.
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
    Place place(*this);
    if constexpr (fits_in_place<Callable>) ::new (place.memory()) Callable(std::forward<F>(callable));
    else ::new (place.memory()) Callable*(new Callable(std::forward<F>(callable)));
    return link(place.take(), &finish<Callable>);
  }

  /// Receives the exception of a cleanup. `state` is the pointer that was given with the function.
  using Report = void (*)(void* state, const std::exception_ptr& error);

  /// Runs and forgets the last cleanup. Its exception is handed to `report`.
  /// \return false if there was no cleanup.
  bool run_last(Report report, void* state);

  /// For the handlers around a fork: in the child no cleanup is half registered, and the lock is free.
  void lock() noexcept { ::pthread_mutex_lock(&mutex_); }
  void unlock() noexcept { ::pthread_mutex_unlock(&mutex_); }

  /// Sets the context of these cleanups: `Cleanup` uses the stack only while `context` is open. `report`
  /// receives the exceptions of scoped cleanups, with the state of `process::Visit`.
  void set_context(const void* context, Report report) noexcept {
    context_ = context;
    report_ = report;
  }

  /// The number of the context, once it is open (`process::life`).
  void set_life(unsigned life) noexcept { life_ = life; }

 private:
  friend class daemonctx::Cleanup;
  friend class daemonctx::ScopedCleanup;

  using Entry = CleanupEntry;
  using Lock = CleanupLock;

  // A place for a callable that is still made, which may throw.
  class Place {
   public:
    explicit Place(CleanupStack& stack) : stack_(stack), entry_(stack.take_place()) {}
    ~Place() {
      if (entry_ != nullptr) stack_.give_back(entry_);
    }
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;

    void* memory() noexcept { return entry_->place.data(); }
    Entry* take() noexcept { return std::exchange(entry_, nullptr); }

   private:
    CleanupStack& stack_;
    Entry* entry_;
  };

  template <class F>
  static F* callable_of(Entry* entry) noexcept {
    void* const place = entry->place.data();
    if constexpr (fits_in_place<F>) return std::launder(static_cast<F*>(place));
    else return *std::launder(static_cast<F**>(place));
  }

  template <class F>
  static void finish(CleanupStack* stack, Entry* entry, bool run) {
    F* callable = callable_of<F>(entry);
    const AtScopeEnd last([=] {
      if constexpr (fits_in_place<F>) callable->~F();
      else delete callable;
      stack->give_back(entry);
    });
    if (run) static_cast<void>((*callable)());
  }

  // No user code runs under the lock: the callable is made between `take_place` and `link`.
  Entry* take_place() {
    {
      const Lock lock(mutex_);
      if (Entry* entry = free_) {
        free_ = entry->below;
        return entry;
      }
    }
    return add_places();
  }

  void give_back(Entry* entry) noexcept {
    const Lock lock(mutex_);
    entry->below = free_;
    free_ = entry;
  }

  Cleanup link(Entry* entry, Entry::Finish finish) noexcept {
    const Lock lock(mutex_);
    entry->finish = finish;
    entry->serial = ++serial_;
    entry->below = last_;
    entry->above = nullptr;
    if (last_ != nullptr) last_->above = entry;
    last_ = entry;
    return {context_, life_, this, entry, entry->serial};
  }

  struct Places;  // an allocation of them

  Entry* add_places();                                 // returns the first
  bool runs_elsewhere(std::uint64_t serial) noexcept;  // whether `run_last` runs it in another thread
  void unlink(Entry* entry) noexcept;                  // under the lock
  bool unlink_own(Entry* entry, std::uint64_t serial) noexcept;  // false: it has another number by now

  Entry* last_ = nullptr;
  Entry* free_ = nullptr;
  Places* more_places_ = nullptr;
  const void* context_ = nullptr;
  unsigned life_ = 0;
  Report report_ = nullptr;
  std::uint64_t serial_ = 0;
  // The cleanup in `run_last`, and its thread. Both are used by std::atomic_ref.
  alignas(8) std::uint64_t running_ = 0;
  pthread_t runner_{};
  pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;
  std::array<Entry, 16> places_;
};

}  // namespace daemonctx::detail
