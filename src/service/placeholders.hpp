// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <string>
#include <string_view>

namespace daemonctx {

/// The first of Boost's placeholders that occurs in `text`; empty if none does. Boost.Program_options puts
/// names and values into its messages at these places, and never ends if a value holds its own placeholder.
inline std::string placeholder_in(std::string_view text) {
  constexpr std::array<std::string_view, 6> all = {"%canonical_option%", "%value%",  "%option%",
                                                   "%original_token%",   "%prefix%", "%invalid_line%"};
  for (const std::string_view each : all) {
    if (text.find(each) != std::string_view::npos) return std::string(each);
  }
  return {};
}

}  // namespace daemonctx
