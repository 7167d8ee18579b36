// SPDX-License-Identifier: BSL-1.0
#include "process/private_fd.hpp"

#include <array>
#include <atomic>
#include <cstdlib>
#include <mutex>
#include <posix/syscalls.hpp>

namespace daemonctx::process {
namespace {

constexpr int unused = 0;  // constant initialisation sets every place to it

constinit std::mutex table_mutex;
constinit std::array<std::atomic<int>, PrivateFd::most> table = {};  // each descriptor plus one
constinit std::atomic<unsigned> generation = 0;  // of processes: a forked child is the next

std::size_t take_place(int fd) noexcept {
  for (std::size_t place = 0; place < table.size(); ++place) {
    int expected = unused;
    if (table[place].compare_exchange_strong(expected, fd + 1)) return place;
  }
  std::abort();  // cannot happen; see PrivateFd::most
}

}  // namespace

bool PrivateFd::is_here() const noexcept { return place_ != none && generation_ == generation; }

// Reads `place_` once: the end of a context may reset it while another thread asks.
int PrivateFd::get() const noexcept {
  const std::size_t place = place_;
  return place != none && generation_ == generation ? table[place] - 1 : -1;
}

void PrivateFd::reset() noexcept {
  if (!is_here()) return;
  const std::lock_guard lock(table_mutex);  // a child gets both the place and the descriptor, or neither
  UniqueFd(table[std::exchange(place_, none)].exchange(unused) - 1).reset();
}

void PrivateFd::reset(UniqueFd fd) noexcept {
  reset();
  place_ = none;
  if (!fd) return;
  const std::lock_guard lock(table_mutex);
  generation_ = generation;
  place_ = take_place(fd.release());
}

void lock_private_descriptors() noexcept { table_mutex.lock(); }

void unlock_private_descriptors() noexcept { table_mutex.unlock(); }

void close_private_descriptors() noexcept {
  ++generation;
  for (auto& place : table) UniqueFd(place.exchange(unused) - 1).reset();
}

}  // namespace daemonctx::process
