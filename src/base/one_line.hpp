// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>

namespace daemonctx {

/// Replaces control characters by blanks, so that an untrusted text is one line on a terminal and in a log.
/// Control characters are those of ASCII and, in UTF-8, those from U+0080 to U+009F.
inline std::string one_line(std::string text) {
  for (std::size_t at = 0; at < text.size(); ++at) {
    const auto letter = static_cast<unsigned char>(text[at]);
    const bool next_is_control =
        at + 1 < text.size() && (static_cast<unsigned char>(text[at + 1]) & 0xe0U) == 0x80U;
    if (letter < ' ' || letter == 0x7f) text[at] = ' ';
    else if (letter == 0xc2 && next_is_control) text[at] = text[at + 1] = ' ';
  }
  return text;
}

}  // namespace daemonctx
