// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE hang_watch
#include "base/hang_watch.hpp"

#include <boost/test/unit_test.hpp>

using daemonctx::forever;
using daemonctx::HangWatch;
using namespace std::chrono_literals;

namespace {

constexpr HangWatch::Clock::time_point start{1h};
constexpr auto wake_up_delay = 5ms;  // every wake-up of the simulated watcher comes this much late

// Simulates a watcher that sleeps and checks. Returns when the watcher finds the limit exceeded.
// At `pause_from` the watcher is stopped for `pause`.
std::chrono::nanoseconds run_until_expiry(HangWatch& watch, std::chrono::nanoseconds pause_from = 1h,
                                          std::chrono::nanoseconds pause = 0s) {
  auto now = start;
  watch.restart(now);
  for (;;) {
    const auto wake_up = watch.next_look(now) + wake_up_delay;
    const bool is_paused = now < start + pause_from && wake_up >= start + pause_from;
    now = is_paused ? std::max(wake_up, start + pause_from + pause) : wake_up;
    if (watch.has_expired(now)) return now - start;
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE(silence_expires_after_the_limit) {
  for (const auto limit : {1ms, 100ms, 1000ms, 60'000ms}) {
    HangWatch watch(limit);
    const auto found = run_until_expiry(watch);
    BOOST_TEST((found >= limit && found <= limit + 5 * wake_up_delay));
  }
}

BOOST_AUTO_TEST_CASE(a_sign_of_life_begins_the_limit_anew) {
  HangWatch watch(1s);
  watch.restart(start);
  BOOST_TEST(!watch.has_expired(start + 999ms));
  watch.restart(start + 999ms);
  BOOST_TEST(!watch.has_expired(start + 1998ms));
  BOOST_TEST(watch.has_expired(start + 1999ms));
}

// Wherever the pause begins, the watched worker or cleanup has the whole limit after the pause.
BOOST_AUTO_TEST_CASE(a_pause_of_the_watcher_begins_the_limit_anew) {
  for (auto from = 10ms; from < 1000ms; from += 10ms) {
    for (const auto pause : {500ms, 800ms, 5000ms}) {
      HangWatch watch(1s);
      BOOST_TEST((run_until_expiry(watch, from, pause) >= from + pause + 1s - 250ms - wake_up_delay));
    }
  }
}

BOOST_AUTO_TEST_CASE(a_watch_without_a_limit_never_expires) {
  HangWatch watch(forever);
  watch.restart(start);
  BOOST_TEST(!watch.has_expired(start + 24h));
  BOOST_TEST((watch.next_look(start) > start + 24h * 365));
}
