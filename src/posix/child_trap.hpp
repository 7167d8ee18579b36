// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdlib>
#include <posix/syscalls.hpp>

namespace daemonctx::posix {

/// Around a function of the user's: a child that it forks, and that comes back from it, would take itself for
/// this process. It ends with the scope.
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
