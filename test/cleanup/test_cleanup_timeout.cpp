// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE cleanup_timeout
#include "cleanup/cleanup_timeout.hpp"

#include <boost/test/unit_test.hpp>
#include <future>

using daemonctx::CleanupWatch;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_CASE(gives_up_once_the_time_is_over) {
  std::promise<void> given_up;
  const auto begin = std::chrono::steady_clock::now();
  CleanupWatch watch(20ms, [&] { given_up.set_value(); });
  given_up.get_future().wait();
  BOOST_TEST((std::chrono::steady_clock::now() - begin >= 20ms));
}

BOOST_AUTO_TEST_CASE(does_not_give_up_while_it_is_rearmed_or_after_its_end) {
  std::atomic<bool> given_up = false;
  {
    CleanupWatch watch(1h, [&] { given_up = true; });
    for (int n = 0; n < 100; ++n) watch.rearm();
  }
  BOOST_TEST(!given_up);
}

BOOST_AUTO_TEST_CASE(without_a_timeout_nothing_is_watched) {
  CleanupWatch watch(0ms, [] { BOOST_ERROR("gave up"); });
  watch.rearm();
}
