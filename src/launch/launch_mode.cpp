// SPDX-License-Identifier: BSL-1.0
#include "daemonctx/launch_mode.hpp"

namespace daemonctx {

std::string_view to_string(LaunchMode mode) noexcept {
  switch (mode) {
    case LaunchMode::detached:
      return "detached";
    case LaunchMode::foreground:
      return "foreground";
    case LaunchMode::managed:
      return "managed";
    case LaunchMode::inetd:
      return "inetd";
    case LaunchMode::init:
      return "init";
  }
  return "unknown";
}

}  // namespace daemonctx
