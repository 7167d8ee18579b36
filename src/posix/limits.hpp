// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/resource.h>

#include <optional>
#include <posix/syscalls.hpp>
#include <string>
#include <vector>

#include "daemonctx/limits.hpp"

namespace daemonctx::posix {

struct LimitFailure {
  int error = 0;               ///< 0: none
  const char* what = nullptr;  ///< "RLIMIT_NOFILE", "nice", ...
};

/// Sets all limits of this process, up to the first that fails.
/// \note Runs in the daemon before it may allocate.
LimitFailure apply(const Limits& limits) noexcept;

/// "RLIMIT_NOFILE"; nullptr for a number that is none.
const char* limit_name(int resource) noexcept;

/// Limits as they are, to put them back. Reads only what `limits` names.
class LimitsBackup {
 public:
  explicit LimitsBackup(const Limits& limits);

  /// Does as much as this process may: it can't raise a hard limit, or lower its nice value, without
  /// privilege.
  void put_back() const noexcept;

 private:
  Limits former_;
};

}  // namespace daemonctx::posix
