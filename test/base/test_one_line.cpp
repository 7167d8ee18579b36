// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE one_line
#include "base/one_line.hpp"

#include <boost/test/unit_test.hpp>

using daemonctx::cut;
using daemonctx::one_line;

BOOST_AUTO_TEST_CASE(control_characters_become_blanks) {
  BOOST_TEST(one_line("a\nb\x7f\x1b[31m") == "a b  [31m");
  BOOST_TEST(one_line("\xc2\x9b"
                      "31m \xc3\xa9") == "  31m \xc3\xa9");
}

BOOST_AUTO_TEST_CASE(a_text_is_cut_between_two_characters) {
  const std::string text = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z";  // of 1, 2, 3, 4 and 1 bytes
  const std::string_view sizes = "0113336666ab";
  for (std::size_t size = 0; size < sizes.size(); ++size) {
    const auto expected =
        static_cast<std::size_t>(sizes[size] <= '9' ? sizes[size] - '0' : sizes[size] - 'a' + 10);
    BOOST_TEST(cut(text, size).size() == expected, "at " << size << ": " << cut(text, size).size());
  }
}

BOOST_AUTO_TEST_CASE(what_is_no_utf_8_is_cut_at_the_size) {
  BOOST_TEST(cut(std::string(10, '\x80'), 5).size() == 5U);
  BOOST_TEST(cut("", 0).empty());
}
