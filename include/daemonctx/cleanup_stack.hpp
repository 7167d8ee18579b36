// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <new>
#include <type_traits>
#include <utility>

#include "daemonctx/export.hpp"

namespace daemonctx {

class CleanupStack;

/// Names one registered cleanup. A plain value: copies name the same cleanup, and dropping it changes nothing.
/// Its members are thread-safe; none may be called after the stack (the `DaemonContext`) is gone.
class DAEMONCTX_EXPORT Cleanup {
 public:
  /// Forgets the cleanup: it will not run. False if it has run, is running or was released before.
  bool release() const;

  /// Runs the cleanup now, in this thread, and never again. False, without running it, as above.
  /// \throws whatever the cleanup throws.
  bool run_now() const;

 private:
  friend class CleanupStack;
  Cleanup(CleanupStack* stack, std::uint64_t serial) noexcept : stack_(stack), serial_(serial) {}

  CleanupStack* stack_;
  std::uint64_t serial_;
};

/// Callables to run once, last registered first. Small ones live in place, a larger one costs one allocation.
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
    Entry* entry = fits<Callable> ? take_place() : nullptr;
    if (entry == nullptr) return push_apart(std::forward<F>(callable));
    if constexpr (fits<Callable>)
      ::new (static_cast<void*>(entry->place)) Callable(std::forward<F>(callable));
    entry->finish = &finish_in_place<Callable>;
    return Cleanup(this, link(entry));
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

  /// Forgets everything, running and destroying nothing. For a forked child, where what the callables refer to
  /// belongs to the parent.
  void abandon() noexcept;

 private:
  friend class Cleanup;

  struct Entry {
    Entry* below = nullptr;
    std::uint64_t serial = 0;
    void (*finish)(CleanupStack*, Entry*, bool run) = nullptr;  // runs or drops the callable, frees the entry
    alignas(std::max_align_t) std::byte place[32];
  };

  template <class F>
  struct EntryApart : Entry {
    explicit EntryApart(F&& given) : callable(std::move(given)) {}
    explicit EntryApart(const F& given) : callable(given) {}
    F callable;
  };

  // A callable whose move may throw would leave a place taken.
  template <class F>
  static constexpr bool fits =
      sizeof(F) <= sizeof(Entry::place) &&
      alignof(F) <= alignof(std::max_align_t) && std::is_nothrow_move_constructible_v<F> &&
      (!std::is_copy_constructible_v<F> || std::is_nothrow_copy_constructible_v<F>);

  template <class F>
  Cleanup push_apart(F&& callable) {
    using Callable = std::decay_t<F>;
    auto entry = std::make_unique<EntryApart<Callable>>(std::forward<F>(callable));
    entry->finish = &finish_apart<Callable>;
    return Cleanup(this, link(entry.release()));
  }

  template <class F>
  static void finish_in_place(CleanupStack* stack, Entry* entry, bool run) {
    struct Return {
      CleanupStack* stack;
      Entry* entry;
      F* callable;
      ~Return() {
        callable->~F();
        stack->give_back(entry);
      }
    } last{stack, entry, std::launder(reinterpret_cast<F*>(entry->place))};
    if (run) static_cast<void>((*last.callable)());
  }

  template <class F>
  static void finish_apart(CleanupStack*, Entry* entry, bool run) {
    const std::unique_ptr<EntryApart<F>> owned(static_cast<EntryApart<F>*>(entry));
    if (run) static_cast<void>(owned->callable());
  }

  Entry* take_place() noexcept;           // null: all in use
  void give_back(Entry* entry) noexcept;  // a place
  std::uint64_t link(Entry* entry) noexcept;
  Entry* unlink_last() noexcept;                 // null: empty
  Entry* unlink(std::uint64_t serial) noexcept;  // null: not there

  class Lock;

  Entry* last_ = nullptr;
  Entry* free_ = nullptr;
  std::uint64_t serial_ = 0;
  std::mutex mutex_;
  std::array<Entry, 16> places_;
};

}  // namespace daemonctx
