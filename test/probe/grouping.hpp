// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <locale>
#include <string>

namespace probe {

/// From now on each new C++ stream of this program writes 1,2,3 for 123 and 2;5 for 2.5.
inline void group_digits() {
  struct Grouping : std::numpunct<char> {
    char do_decimal_point() const override { return ';'; }
    char do_thousands_sep() const override { return ','; }
    std::string do_grouping() const override { return "\1"; }
  };
  std::locale::global(std::locale(std::locale::classic(), new Grouping));
}

}  // namespace probe
