// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>

#include "daemonctx/timeout.hpp"

namespace daemonctx {

/// The text for messages: "300 ms", or "20 ns" if the timeout is no whole number of milliseconds.
inline std::string to_text(Timeout timeout) {
  if (timeout.is_forever()) return "forever";
  constexpr auto unit = std::chrono::nanoseconds(std::chrono::milliseconds(1)).count();
  const auto length = timeout.length().count();
  return length % unit == 0 ? std::to_string(length / unit) + " ms" : std::to_string(length) + " ns";
}

}  // namespace daemonctx
