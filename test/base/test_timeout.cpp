// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE timeout
#include "daemonctx/timeout.hpp"

#include <boost/test/unit_test.hpp>
#include <limits>

#include "base/deadline.hpp"
#include "base/timeout_text.hpp"

using daemonctx::forever;
using daemonctx::Timeout;
using daemonctx::posix::Clock;
using namespace std::chrono_literals;

namespace {

template <class Duration>
void saturates_at_both_ends() {
  BOOST_TEST((Timeout(Duration::zero()) == Timeout()));
  BOOST_TEST(Timeout(Duration::max()).is_forever());
  BOOST_TEST((Timeout(Duration::min()) < Timeout()));
  BOOST_TEST((Timeout(Duration(1)) == std::chrono::duration_cast<std::chrono::nanoseconds>(Duration(1))));
}

template <class Rep>
using Seconds = std::chrono::duration<Rep>;

}  // namespace

static_assert(Timeout(1500ms).length() == 1'500'000'000ns);
static_assert(Timeout() == 0s && Timeout(1h) < forever && Timeout(forever).is_forever());

BOOST_AUTO_TEST_CASE(any_duration_converts_and_saturates) {
  saturates_at_both_ends<std::chrono::nanoseconds>();
  saturates_at_both_ends<std::chrono::microseconds>();
  saturates_at_both_ends<std::chrono::milliseconds>();
  saturates_at_both_ends<std::chrono::seconds>();
  saturates_at_both_ends<std::chrono::hours>();
  saturates_at_both_ends<Seconds<long>>();
  saturates_at_both_ends<std::chrono::duration<long, std::ratio<3600 * 24 * 365>>>();
  BOOST_TEST((Timeout(std::chrono::duration<int>::max()) == std::chrono::seconds(2147483647)));
  BOOST_TEST((Timeout(std::chrono::duration<unsigned char>(255)) == 255s));
}

BOOST_AUTO_TEST_CASE(fractions_infinities_and_nan_convert) {
  BOOST_TEST((Timeout(Seconds<double>(0.25)) == 250ms));
  BOOST_TEST((Timeout(std::chrono::duration<int, std::ratio<1, 3>>(1)) == 333'333'333ns));
  BOOST_TEST((Timeout(std::chrono::duration<long, std::pico>(1)) == 1ns));
  BOOST_TEST((Timeout(Seconds<double>(0.05)) == 50ms));
  BOOST_TEST(Timeout(Seconds<double>(std::numeric_limits<double>::infinity())).is_forever());
  BOOST_TEST((Timeout(Seconds<double>(-std::numeric_limits<double>::infinity())) < Timeout()));
  BOOST_TEST((Timeout(Seconds<double>(std::numeric_limits<double>::quiet_NaN())) < Timeout()));
}

BOOST_AUTO_TEST_CASE(deadlines_saturate) {
  using daemonctx::posix::later;
  constexpr auto never = Clock::time_point::max();
  const Clock::time_point now{1h};
  BOOST_TEST((later(now, 1s) == now + 1s));
  BOOST_TEST((later(now, -1s) == now));
  BOOST_TEST((later(now, forever) == never));
  BOOST_TEST((later(now, never - now) == never));
  BOOST_TEST((later(now, never - now - 1ns) == never - 1ns));
  BOOST_TEST((later(never, 0ns) == never));
  BOOST_TEST((later(Clock::time_point::min(), 1s) == Clock::time_point::min() + 1s));
  BOOST_TEST((daemonctx::posix::deadline_in(std::chrono::hours::max()) == never));
}

BOOST_AUTO_TEST_CASE(to_text_names_the_exact_length) {
  BOOST_TEST(daemonctx::to_text(1500ms) == "1500 ms");
  BOOST_TEST(daemonctx::to_text(1ns) == "1 ns");
  BOOST_TEST(daemonctx::to_text(0s) == "0 ms");
  BOOST_TEST(daemonctx::to_text(-3s) == "-3000 ms");
  BOOST_TEST(daemonctx::to_text(forever) == "forever");
}
