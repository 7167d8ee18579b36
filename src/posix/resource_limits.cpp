// SPDX-License-Identifier: BSL-1.0
#include "posix/resource_limits.hpp"

#include <algorithm>
#include <posix/syscalls.hpp>

#include "posix/retry.hpp"

namespace daemonctx::posix {
namespace {

#ifdef __linux__
// A core_pattern that pipes into a handler ignores the limit 0, but not 1 (core(5)). No core file is as small
// as one byte, so no file is written either.
constexpr rlim_t no_core = 1;
#else
constexpr rlim_t no_core = 0;
#endif

}  // namespace

int prevent_core() noexcept {
  const rlimit limit{no_core, no_core};
  if (posix::setrlimit(RLIMIT_CORE, &limit) == 0) return 0;
  if (errno != EPERM) return errno;
  const rlimit least{0, 0};  // the hard limit is 0 already, and we may not raise it
  return error_of(posix::setrlimit(RLIMIT_CORE, &least));
}

int prevent_core_for_now() noexcept {
  rlimit limit{};
  if (posix::getrlimit(RLIMIT_CORE, &limit) == -1) return errno;
  limit.rlim_cur = std::min(no_core, limit.rlim_max);
  return error_of(posix::setrlimit(RLIMIT_CORE, &limit));
}

int forbid_dumps() noexcept {
  rlimit limit{};
  if (posix::getrlimit(RLIMIT_CORE, &limit) == -1) return errno;
  if (limit.rlim_cur == no_core) return 0;
  return error_of(posix::prctl(PR_SET_DUMPABLE, 0UL, 0UL, 0UL, 0UL));
}

}  // namespace daemonctx::posix
