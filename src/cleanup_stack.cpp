// SPDX-License-Identifier: BSL-1.0
#include "daemonctx/cleanup_stack.hpp"

#include "posix/threads.hpp"

namespace daemonctx {

// While the process has one thread there is nobody to exclude, and two atomic operations for each call would
// cost more than the call. No thread can begin while the lock is held: no foreign code runs under it.
class CleanupStack::Lock {
 public:
  explicit Lock(std::mutex& mutex) : mutex_(posix::is_single_threaded() ? nullptr : &mutex) {
    if (mutex_ != nullptr) mutex_->lock();
  }
  ~Lock() {
    if (mutex_ != nullptr) mutex_->unlock();
  }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

 private:
  std::mutex* mutex_;
};

bool Cleanup::release() const {
  CleanupStack::Entry* entry = stack_->unlink(serial_);
  if (entry == nullptr) return false;
  entry->finish(stack_, entry, false);
  return true;
}

bool Cleanup::run_now() const {
  CleanupStack::Entry* entry = stack_->unlink(serial_);
  if (entry == nullptr) return false;
  entry->finish(stack_, entry, true);
  return true;
}

CleanupStack::CleanupStack() noexcept {
  for (Entry& entry : places_) {
    entry.below = free_;
    free_ = &entry;
  }
}

CleanupStack::~CleanupStack() {
  while (Entry* entry = unlink_last()) entry->finish(this, entry, false);
}

void CleanupStack::abandon() noexcept {
  last_ = nullptr;
  free_ = nullptr;
}

CleanupStack::Entry* CleanupStack::take_place() noexcept {
  const Lock lock(mutex_);
  Entry* entry = free_;
  if (entry != nullptr) free_ = entry->below;
  return entry;
}

void CleanupStack::give_back(Entry* entry) noexcept {
  const Lock lock(mutex_);
  entry->below = free_;
  free_ = entry;
}

std::uint64_t CleanupStack::link(Entry* entry) noexcept {
  const Lock lock(mutex_);
  entry->serial = ++serial_;
  entry->below = last_;
  last_ = entry;
  return entry->serial;
}

CleanupStack::Entry* CleanupStack::unlink_last() noexcept {
  const Lock lock(mutex_);
  Entry* entry = last_;
  if (entry != nullptr) last_ = entry->below;
  return entry;
}

CleanupStack::Entry* CleanupStack::unlink(std::uint64_t serial) noexcept {
  const Lock lock(mutex_);
  for (Entry** place = &last_; *place != nullptr; place = &(*place)->below) {
    Entry* entry = *place;
    if (entry->serial != serial) continue;
    *place = entry->below;
    return entry;
  }
  return nullptr;
}

}  // namespace daemonctx
