// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdlib>
#include <posix/syscalls.hpp>

namespace daemonctx::posix {

/// Put it around a call of a user's function. If that function forks and its child returns too, the
/// destructor ends the child with EXIT_FAILURE: the child would take itself for this process.
class ChildTrap {
 public:
  ChildTrap() noexcept : owner_(posix::getpid()) {}
  ~ChildTrap() {
    if (posix::getpid() != owner_) posix::_exit(EXIT_FAILURE);
  }
  ChildTrap(const ChildTrap&) = delete;
  ChildTrap& operator=(const ChildTrap&) = delete;

 private:
  pid_t owner_;
};

}  // namespace daemonctx::posix
