// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace daemonctx {

// Numbers that machines read and write. Streams and printf(3) follow the program's locale, these don't.

/// Empty unless the whole text is one number within the range of its type.
template <class Number>
std::optional<Number> to_number(std::string_view text, int base = 10) noexcept {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  if (error != std::errc() || end != text.data() + text.size()) return {};
  return number;
}

/// \param base 8, 10 or 16; without a prefix.
inline std::string to_digits(std::uintptr_t number, int base) {
  std::array<char, 24> digits{};
  return {digits.data(), std::to_chars(digits.data(), digits.data() + digits.size(), number, base).ptr};
}

/// "2.5 s" for 2540 ms.
inline std::string to_seconds(std::chrono::milliseconds length) {
  const auto tenths = (length.count() + 50) / 100;
  return std::to_string(tenths / 10) + '.' + std::to_string(tenths % 10) + " s";
}

/// Takes the first word off the text: up to the separator, or all of it.
inline std::string_view take_word(std::string_view& text, char separator) noexcept {
  const std::size_t size = std::min(text.find(separator), text.size());
  const char* const begin = text.data();
  text.remove_prefix(std::min(size + 1, text.size()));
  return {begin, size};
}

}  // namespace daemonctx
