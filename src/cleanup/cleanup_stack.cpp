// SPDX-License-Identifier: BSL-1.0
#include "daemonctx/detail/cleanup_stack.hpp"

#include <atomic>
#include <optional>

#include "posix/cancel_block.hpp"
#include "process/end_of_process.hpp"
#include "process/gate.hpp"

namespace daemonctx {

bool Cleanup::release() const { return finish(false); }

bool Cleanup::run_now() const { return finish(true); }

bool Cleanup::finish(bool run) const {
  std::optional<process::Visit> visit;
  if (context_ != nullptr && !visit.emplace(context_, life_)) return false;
  if (stack_ == nullptr || !stack_->unlink_own(entry_, serial_)) return false;
  entry_->finish(stack_, entry_, run);
  return true;
}

// Waits for a thread that ends the context and is in this very cleanup. Not for the whole end: the other
// cleanups may wait for this thread.
void ScopedCleanup::finish() noexcept {
  if (cleanup_.stack_ == nullptr) return;
  const posix::CancelBlock no_cancel;
  try {
    if (cleanup_.run_now()) return;
  } catch (...) {
    const process::Visit visit(cleanup_.context_, cleanup_.life_);
    if (visit) cleanup_.stack_->report_(visit.state(), std::current_exception());
    return;
  }
  process::await_end_while(
      [](const void* object) noexcept {
        const Cleanup& cleanup = *static_cast<const Cleanup*>(object);
        const process::Visit visit(cleanup.context_, cleanup.life_);
        return visit && cleanup.stack_->runs_elsewhere(cleanup.serial_);
      },
      &cleanup_);
}

namespace detail {

struct CleanupStack::Places {
  Places* next;
  std::array<Entry, 63> entries;  // about a page
};

CleanupStack::CleanupStack() noexcept {
  for (Entry& entry : places_) {
    entry.below = free_;
    free_ = &entry;
  }
}

CleanupStack::~CleanupStack() {
  while (Entry* entry = last_) {
    unlink(entry);
    entry->finish(this, entry, false);
  }
  while (more_places_ != nullptr) delete std::exchange(more_places_, more_places_->next);
}

// Allocates without the lock: the program's own operator new may register a cleanup.
CleanupEntry* CleanupStack::add_places() {
  auto* const places = new Places{};
  auto& entries = places->entries;
  for (std::size_t i = 1; i + 1 < entries.size(); ++i) entries[i].below = &entries[i + 1];
  const Lock lock(mutex_);
  places->next = std::exchange(more_places_, places);
  entries.back().below = std::exchange(free_, &entries[1]);
  return &entries.front();
}

bool CleanupStack::run_last(Report report, void* state) {
  Entry* entry = nullptr;
  {
    const Lock lock(mutex_);
    entry = last_;
    if (entry == nullptr) return false;
    std::atomic_ref{runner_}.store(::pthread_self(), std::memory_order_relaxed);
    std::atomic_ref{running_}.store(entry->serial, std::memory_order_release);
    last_ = entry->below;
    if (last_ != nullptr) last_->above = nullptr;
    entry->serial = 0;
  }
  try {
    entry->finish(this, entry, true);
  } catch (...) {
    report(state, std::current_exception());
  }
  std::atomic_ref{running_}.store(0, std::memory_order_release);
  return true;
}

// `runner_` is written before `running_`: where this is the number, it is that thread or a later one.
bool CleanupStack::runs_elsewhere(std::uint64_t serial) noexcept {
  return std::atomic_ref{running_}.load(std::memory_order_acquire) == serial &&
         ::pthread_equal(std::atomic_ref{runner_}.load(std::memory_order_relaxed), ::pthread_self()) == 0;
}

void CleanupStack::unlink(Entry* entry) noexcept {
  (entry->above != nullptr ? entry->above->below : last_) = entry->below;
  if (entry->below != nullptr) entry->below->above = entry->above;
  entry->serial = 0;
}

bool CleanupStack::unlink_own(Entry* entry, std::uint64_t serial) noexcept {
  const Lock lock(mutex_);
  if (entry->serial != serial) return false;
  unlink(entry);
  return true;
}

}  // namespace detail
}  // namespace daemonctx
