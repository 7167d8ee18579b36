// SPDX-License-Identifier: BSL-1.0
#include "daemonctx/detail/cleanup_stack.hpp"

#include <atomic>
#include <optional>

#include "posix/cancel_block.hpp"
#include "process/end_of_process.hpp"
#include "process/gate.hpp"

namespace daemonctx {

Cleanup::Cleanup(detail::CleanupStack* stack, std::uint64_t serial) noexcept
    : context_(stack->context_), stack_(stack), life_(process::life()), serial_(serial) {}

bool Cleanup::release() const { return finish(false); }

bool Cleanup::run_now() const { return finish(true); }

bool Cleanup::finish(bool run) const {
  std::optional<process::Visit> visit;
  if (context_ != nullptr && !visit.emplace(context_, life_)) return false;
  detail::CleanupEntry* entry = stack_ == nullptr ? nullptr : stack_->unlink(serial_);
  if (entry == nullptr) return false;
  entry->finish(stack_, entry, run);
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

CleanupStack::CleanupStack() noexcept {
  for (Entry& entry : places_) {
    entry.below = free_;
    free_ = &entry;
  }
}

CleanupStack::~CleanupStack() {
  while (Entry* entry = unlink_last()) entry->finish(this, entry, false);
}

bool CleanupStack::run_last(Report report, void* state) {
  Entry* entry = unlink_last();
  if (entry == nullptr) return false;
  std::atomic_ref{runner_}.store(::pthread_self());
  try {
    entry->finish(this, entry, true);
  } catch (...) {
    report(state, std::current_exception());
  }
  std::atomic_ref{running_}.store(0);
  return true;
}

bool CleanupStack::runs_elsewhere(std::uint64_t serial) noexcept {
  return std::atomic_ref{running_}.load() == serial &&
         ::pthread_equal(std::atomic_ref{runner_}.load(), ::pthread_self()) == 0;
}

CleanupEntry* CleanupStack::unlink_last() noexcept {
  const Lock lock(mutex_);
  Entry* entry = last_;
  if (entry == nullptr) return nullptr;
  last_ = entry->below;
  std::atomic_ref{running_}.store(entry->serial);
  return entry;
}

CleanupEntry* CleanupStack::unlink(std::uint64_t serial) noexcept {
  const Lock lock(mutex_);
  for (Entry** place = &last_; *place != nullptr; place = &(*place)->below) {
    Entry* entry = *place;
    if (entry->serial != serial) continue;
    *place = entry->below;
    return entry;
  }
  return nullptr;
}

}  // namespace detail
}  // namespace daemonctx
