// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

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

/// The longest beginning of `text` that has at most `size` bytes and ends with a whole UTF-8 character.
inline std::string_view cut(std::string_view text, std::size_t size) noexcept {
  if (size >= text.size()) return text;
  const auto goes_on = [&] { return (static_cast<unsigned char>(text[size]) & 0xc0U) == 0x80U; };
  constexpr std::size_t longest_rest = 3;  // of a character; more is no UTF-8
  const std::size_t least = size - std::min(size, longest_rest);
  const std::size_t whole = size;
  while (size > least && goes_on()) --size;
  return text.substr(0, goes_on() ? whole : size);
}

}  // namespace daemonctx
