// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <signal.h>

#include <cstring>
#include <string>

namespace daemonctx::posix {

/// "SIGTERM", or "signal 40".
inline std::string signal_name(int signal) {
#ifdef __GLIBC__
  if (const char* name = ::sigabbrev_np(signal)) return std::string("SIG") + name;
#endif
  return "signal " + std::to_string(signal);
}

}  // namespace daemonctx::posix
