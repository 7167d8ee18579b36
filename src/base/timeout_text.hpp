// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>

#include "daemonctx/timeout.hpp"

namespace daemonctx {

/// For messages: "300 ms"; "20 ns" where it is no whole number of milliseconds.
inline std::string to_text(Timeout timeout) {
  if (timeout.is_forever()) return "forever";
  constexpr auto unit = std::chrono::nanoseconds(std::chrono::milliseconds(1)).count();
  const auto length = timeout.length().count();
  return length % unit == 0 ? std::to_string(length / unit) + " ms" : std::to_string(length) + " ns";
}

}  // namespace daemonctx
