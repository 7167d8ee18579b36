// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <posix/syscalls.hpp>
#include <system_error>

#include "posix/retry.hpp"
#include "posix/unique_fd.hpp"

namespace daemonctx::posix {

/// A pipe by which one process dies with another. A change of user clears PR_SET_PDEATHSIG, and its signal
/// needs a permission. The permission for this pipe is that of the moment when `kill_me_when_closed` was
/// called (fcntl(2), F_SETOWN).
struct Lifeline {
  UniqueFd holder;     ///< close-on-exec; closing its last copy kills the other process
  UniqueFd dependent;  ///< close-on-exec
};

/// \throws std::system_error
inline Lifeline make_lifeline() {
  std::array<int, 2> ends{};
  if (posix::pipe2(ends.data(), O_CLOEXEC) == -1) throw std::system_error(last_error());
  return {UniqueFd(ends[1]), UniqueFd(ends[0])};
}

/// Call it in the process that is to die: SIGKILL kills it when `holder` is closed, as long as `dependent` is
/// open. If the other process has died before the call, nothing happens.
/// \return 0 or an errno.
inline int kill_me_when_closed(int dependent) noexcept {
#ifdef F_SETSIG
  if (posix::fcntl(dependent, F_SETOWN, posix::getpid()) == -1) return errno;
  if (posix::fcntl(dependent, F_SETSIG, SIGKILL) == -1) return errno;
  return error_of(posix::fcntl(dependent, F_SETFL, O_ASYNC));
#else
  static_cast<void>(dependent);
  return 0;
#endif
}

}  // namespace daemonctx::posix
