// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE number
#include "base/number.hpp"

#include <boost/test/unit_test.hpp>
#include <limits>

using daemonctx::take_word;
using daemonctx::to_digits;
using daemonctx::to_number;
using daemonctx::to_seconds;

BOOST_AUTO_TEST_CASE(a_number_is_the_whole_text_or_none) {
  BOOST_TEST(to_number<int>("42").value() == 42);
  BOOST_TEST(to_number<int>("-7").value() == -7);
  BOOST_TEST(to_number<unsigned>("17", 8).value() == 15U);
  for (const char* text : {"", " 1", "1 ", "1,000", "0x10", "9999999999", "one"}) {
    BOOST_TEST(!to_number<int>(text).has_value(), text);
  }
  BOOST_TEST(!to_number<unsigned>("-1").has_value());
  BOOST_TEST(!to_number<unsigned>("8", 8).has_value());
}

BOOST_AUTO_TEST_CASE(digits_have_no_prefix) {
  BOOST_TEST(to_digits(0, 16) == "0");
  BOOST_TEST(to_digits(0xdeadbeef, 16) == "deadbeef");
  BOOST_TEST(to_digits(027, 8) == "27");
  BOOST_TEST(to_digits(std::numeric_limits<std::uintptr_t>::max(), 8).size() == 22U);
}

BOOST_AUTO_TEST_CASE(seconds_are_rounded_to_tenths) {
  using std::chrono::milliseconds;
  BOOST_TEST(to_seconds(milliseconds(2540)) == "2.5 s");
  BOOST_TEST(to_seconds(milliseconds(1234567960)) == "1234568.0 s");
  BOOST_TEST(to_seconds(milliseconds(50)) == "0.1 s");
  BOOST_TEST(to_seconds(milliseconds(49)) == "0.0 s");
  BOOST_TEST(to_seconds(milliseconds(0)) == "0.0 s");
}

BOOST_AUTO_TEST_CASE(words_are_taken_one_by_one) {
  std::string_view text = "a::bc:";
  BOOST_TEST(take_word(text, ':') == "a");
  BOOST_TEST(take_word(text, ':') == "");
  BOOST_TEST(take_word(text, ':') == "bc");
  BOOST_TEST(text == "");
  BOOST_TEST(take_word(text, ':') == "");
}
