// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <utility>

#include "posix/unique_fd.hpp"

namespace daemonctx::process {

/// Owns a descriptor that no forked child gets: the pidfile's would keep it locked as long as the child
/// lives, a connection's would keep its other end waiting. The fork handler closes the child's copy, and
/// there `get()` is -1.
///
/// The number itself lies in a table of the process; this object knows only its place. Thread-safe towards
/// fork(2), not for two threads that use one object.
class PrivateFd final {
 public:
  /// How many there can be in a process; the library needs less than half of it.
  static constexpr std::size_t most = 32;

  PrivateFd() noexcept = default;
  explicit PrivateFd(UniqueFd fd) noexcept { reset(std::move(fd)); }
  PrivateFd(PrivateFd&& other) noexcept
      : place_(std::exchange(other.place_, none)), generation_(other.generation_) {}
  PrivateFd& operator=(PrivateFd&& other) noexcept {
    if (this == &other) return *this;
    reset();
    place_ = std::exchange(other.place_, none);
    generation_ = other.generation_;
    return *this;
  }
  PrivateFd(const PrivateFd&) = delete;
  PrivateFd& operator=(const PrivateFd&) = delete;
  ~PrivateFd() { reset(); }

  /// -1: there is none, or this is a forked child.
  int get() const noexcept;
  explicit operator bool() const noexcept { return get() != -1; }

  /// Closes what is owned. Leaves errno as it was.
  void reset() noexcept;
  void reset(UniqueFd fd) noexcept;

 private:
  static constexpr std::size_t none = most;

  bool is_here() const noexcept;  // false also in a forked child, which has nothing to close any more

  std::size_t place_ = none;
  unsigned generation_ = 0;
};

/// For the fork handler: around a fork, and in the child.
void lock_private_descriptors() noexcept;
void unlock_private_descriptors() noexcept;
void close_private_descriptors() noexcept;

}  // namespace daemonctx::process
