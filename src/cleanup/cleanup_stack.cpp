// SPDX-License-Identifier: BSL-1.0
#include "daemonctx/cleanup_stack.hpp"

namespace daemonctx {

bool Cleanup::release() const {
  detail::CleanupEntry* entry = stack_->unlink(serial_);
  if (entry == nullptr) return false;
  entry->finish(stack_, entry, false);
  return true;
}

bool Cleanup::run_now() const {
  detail::CleanupEntry* entry = stack_->unlink(serial_);
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
  abandoned_ = std::exchange(last_, nullptr);
  free_ = nullptr;
}

detail::CleanupEntry* CleanupStack::unlink(std::uint64_t serial) noexcept {
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
