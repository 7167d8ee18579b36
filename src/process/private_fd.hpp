// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <utility>

#include "posix/unique_fd.hpp"

namespace daemonctx::process {

/// Owns a descriptor that no forked child keeps. A child's copy would keep the pidfile locked as long as the
/// child lives, or keep the other end of a connection waiting. The fork handler closes the copy, and `get()`
/// returns -1 in the child.
///
/// A table of the process holds the descriptor; this object holds only its place in the table. fork(2) in
/// another thread is safe. Two threads must not use one object.
class PrivateFd final {
 public:
  /// The most descriptors in a process; the library needs less than half of them.
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

  /// -1 if there is no descriptor, or in a forked child.
  int get() const noexcept;
  explicit operator bool() const noexcept { return get() != -1; }

  /// Closes the owned descriptor. Leaves errno as it was.
  void reset() noexcept;
  void reset(UniqueFd fd) noexcept;

 private:
  static constexpr std::size_t none = most;

  bool is_here() const noexcept;  // also false in a forked child: the fork handler has closed its copy

  std::size_t place_ = none;
  unsigned generation_ = 0;
};

/// The fork handler calls the first two around a fork, and the last one in the child.
void lock_private_descriptors() noexcept;
void unlock_private_descriptors() noexcept;
void close_private_descriptors() noexcept;

}  // namespace daemonctx::process
