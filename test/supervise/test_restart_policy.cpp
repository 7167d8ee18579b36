// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE restart_policy

#include <signal.h>

#include <boost/test/unit_test.hpp>
#include <limits>
#include <stdexcept>

#include "supervise/restart_policy.hpp"

using daemonctx::Backoff;
using daemonctx::RespawnPolicy;
using daemonctx::WorkerEnd;
using namespace std::chrono_literals;

namespace {

const Backoff::Clock::time_point start{1h};

WorkerEnd exited(int status, std::chrono::milliseconds uptime = 0ms) {
  return {.exit_code = status, .uptime = uptime};
}

WorkerEnd killed(int signal, std::chrono::milliseconds uptime = 0ms) {
  return {.signal = signal, .uptime = uptime};
}

std::string refusal(const RespawnPolicy& policy) {
  try {
    daemonctx::validate(policy);
    return "accepted";
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE(delays_grow_to_the_longest) {
  const RespawnPolicy policy{.longest_delay = 700ms, .max_restarts = 100, .window = 100s};
  Backoff backoff(policy);
  for (const auto delay : {100ms, 200ms, 400ms, 700ms, 700ms}) {
    BOOST_TEST((backoff.next(killed(SIGSEGV), start) == delay));
  }
}

BOOST_AUTO_TEST_CASE(by_default_the_sixth_crash_in_a_row_is_the_last) {
  const RespawnPolicy policy;
  Backoff backoff(policy);
  auto now = start;
  auto delay = 100ms;
  for (int restart = 1; restart <= 5; ++restart, delay *= 2) {
    BOOST_TEST((backoff.next(killed(SIGSEGV), now) == delay));
    now += delay;
  }
  BOOST_TEST(!backoff.next(killed(SIGSEGV), now));
  BOOST_TEST(backoff.gave_up());
}

BOOST_AUTO_TEST_CASE(restarts_count_for_as_long_as_the_window) {
  const RespawnPolicy policy{.first_delay = 0ms, .max_restarts = 2, .window = 1s};
  Backoff backoff(policy);
  BOOST_TEST(backoff.next(exited(1), start).has_value());
  BOOST_TEST(backoff.next(exited(1), start + 500ms).has_value());
  BOOST_TEST(backoff.next(exited(1), start + 1s).has_value());
  BOOST_TEST(!backoff.next(exited(1), start + 1499ms));
}

BOOST_AUTO_TEST_CASE(a_stable_run_resets_the_delay_and_the_count) {
  const RespawnPolicy policy{.max_restarts = 2};
  Backoff backoff(policy);
  for (int round = 0; round < 3; ++round) {
    BOOST_TEST((backoff.next(exited(1, 60s), start) == 100ms));
    BOOST_TEST((backoff.next(exited(1, 59s), start) == 200ms));
  }
  BOOST_TEST(!backoff.next(exited(1), start));
}

BOOST_AUTO_TEST_CASE(a_run_that_was_never_ready_is_not_stable) {
  const RespawnPolicy policy{.max_restarts = 1};
  Backoff backoff(policy);
  const WorkerEnd end{.exit_code = 1, .was_ready = false, .uptime = 1h};
  BOOST_TEST(backoff.next(end, start).has_value());
  BOOST_TEST(!backoff.next(end, start));
}

BOOST_AUTO_TEST_CASE(exit_codes_can_mean_no_restart_or_an_immediate_one) {
  const RespawnPolicy policy{.no_restart_exit_codes = {0, 125}, .immediate_restart_exit_codes = {3}};
  Backoff backoff(policy);
  BOOST_TEST((backoff.next(exited(3), start) == 0ms));
  BOOST_TEST((backoff.next(exited(1), start) == 100ms));
  BOOST_TEST((backoff.next(exited(3), start) == 0ms));
  BOOST_TEST((backoff.next(exited(1), start) == 200ms));
  for (const int status : {0, 125}) BOOST_TEST(!backoff.next(exited(status), start));
  BOOST_TEST(!backoff.gave_up());
}

BOOST_AUTO_TEST_CASE(a_signal_or_a_hang_is_no_exit_code) {
  const RespawnPolicy policy;
  Backoff backoff(policy);
  BOOST_TEST(backoff.next(killed(SIGKILL), start).has_value());
  BOOST_TEST(backoff.next(WorkerEnd{.exit_code = 0, .hung = true}, start).has_value());
  BOOST_TEST(!backoff.next(exited(0), start));
}

BOOST_AUTO_TEST_CASE(jitter_stays_within_its_part) {
  const RespawnPolicy policy{
      .first_delay = 1s, .factor = 1, .jitter = 0.25, .max_restarts = 2000, .window = 10h};
  Backoff backoff(policy);
  auto shortest = 1h + 0ms;
  auto longest = 0ms;
  for (int n = 0; n < 1000; ++n) {
    const auto delay =
        std::chrono::floor<std::chrono::milliseconds>(backoff.next(exited(1), start).value().length());
    shortest = std::min(shortest, delay);
    longest = std::max(longest, delay);
  }
  BOOST_TEST((shortest >= 750ms && shortest < 800ms));
  BOOST_TEST((longest <= 1250ms && longest > 1200ms));
}

BOOST_AUTO_TEST_CASE(max_restarts_0_disables_restarts_and_nothing_is_given_up) {
  const RespawnPolicy policy{.max_restarts = 0, .immediate_restart_exit_codes = {3}};
  BOOST_TEST(refusal(policy) == "accepted");
  Backoff backoff(policy);
  BOOST_TEST(!backoff.next(exited(3), start));
  BOOST_TEST(!backoff.next(killed(SIGSEGV), start));
  BOOST_TEST(!backoff.gave_up());
}

BOOST_AUTO_TEST_CASE(a_policy_that_could_never_give_up_is_refused_with_the_arithmetic) {
  BOOST_TEST(refusal({}) == "accepted");
  BOOST_TEST(
      refusal({.max_restarts = 5, .window = 3000ms}) ==
      "respawn_policy: it could never give up: 5 restarts don't fit in the window of 3000 ms, since the "
      "delays between "
      "them alone take 200 + 400 + 800 + 1600 ms");
  BOOST_TEST(refusal({.max_restarts = 5, .window = 3001ms}) == "accepted");
  BOOST_TEST(refusal({.first_delay = 1s, .factor = 1, .max_restarts = 11, .window = 10s})
                 .find("1000 + 1000 + 1000 + 1000 + 1000 + 1000 + ... ms") != std::string::npos);
  BOOST_TEST(refusal({.jitter = 0.5, .max_restarts = 5, .window = 1501ms}) == "accepted");
  BOOST_TEST(refusal({.jitter = 0.5, .max_restarts = 5, .window = 1500ms}).find("100 + 200 + 400 + 800 ms") !=
             std::string::npos);
  BOOST_TEST(refusal({.max_restarts = std::numeric_limits<unsigned>::max()}).find("never") !=
             std::string::npos);
  BOOST_TEST(refusal({.first_delay = 0ms, .max_restarts = std::numeric_limits<unsigned>::max()}) ==
             "accepted");
}

// With an endless window each restart counts for ever. The policy gives up after `max_restarts`.
BOOST_AUTO_TEST_CASE(the_longest_durations_mean_what_they_say) {
  constexpr auto longest = std::chrono::milliseconds::max();
  const RespawnPolicy policy{.first_delay = 0ms,
                             .longest_delay = longest,
                             .max_restarts = 3,
                             .window = longest,
                             .stable_after = longest,
                             .stop_timeout = longest,
                             .hang_timeout = longest};
  BOOST_TEST(refusal(policy) == "accepted");
  Backoff backoff(policy);
  auto now = start;
  for (int restart = 0; restart < 3; ++restart, now += 1000h) {
    BOOST_TEST((backoff.next(exited(1, 1000h), now) == 0ms));
  }
  BOOST_TEST(!backoff.next(exited(1, 1000h), now));
  BOOST_TEST(backoff.gave_up());

  const RespawnPolicy patient{.first_delay = longest, .longest_delay = longest, .window = daemonctx::forever};
  Backoff waits(patient);
  for (int restart = 0; restart < 3; ++restart) BOOST_TEST((waits.next(exited(1), start) > 1h));
}

BOOST_AUTO_TEST_CASE(a_policy_that_makes_no_sense_is_refused) {
  BOOST_TEST(refusal({.first_delay = -1ms}) == "respawn_policy: first_delay must not be negative");
  BOOST_TEST(refusal({.factor = 0.5}) == "respawn_policy: factor must be 1 or more");
  BOOST_TEST(refusal({.factor = std::numeric_limits<double>::quiet_NaN()}) ==
             "respawn_policy: factor must be 1 or more");
  BOOST_TEST(refusal({.longest_delay = 99ms}) == "respawn_policy: longest_delay is shorter than first_delay");
  BOOST_TEST(refusal({.jitter = 1.1}) == "respawn_policy: jitter must be between 0 and 1");
  BOOST_TEST(refusal({.window = 0ms}) == "respawn_policy: window must be longer than zero");
  BOOST_TEST(refusal({.stable_after = 0ms}).find("each run would reset the count") != std::string::npos);
  BOOST_TEST(refusal({.no_restart_exit_codes = {256}}) == "respawn_policy: 256 can't be an exit code");
  BOOST_TEST(refusal({.no_restart_exit_codes = {3}, .immediate_restart_exit_codes = {3}}) ==
             "respawn_policy: 3 can't be in both no_restart_exit_codes and immediate_restart_exit_codes");
  BOOST_TEST(refusal({.stop_timeout = -1ms}) == "respawn_policy: stop_timeout must not be negative");
  BOOST_TEST(refusal({.hang_timeout = -1ms}) ==
             "respawn_policy: hang_timeout must be longer than zero: each worker would hang at once");
}

BOOST_AUTO_TEST_CASE(the_end_of_a_worker_is_one_line_of_text) {
  BOOST_TEST(to_string(exited(3, 1500ms)) == "exited with code 3 after 1.5 s");
  BOOST_TEST(
      to_string(WorkerEnd{.signal = SIGSEGV, .core_dumped = true, .fault_address = 16, .uptime = 20ms}) ==
      "was killed by SIGSEGV at address 0x10 (core dumped) after 0.0 s");
  BOOST_TEST(to_string(WorkerEnd{.signal = SIGABRT, .hung = true, .was_ready = false}) ==
             "hung, and was killed by SIGABRT after 0.0 s, before it was ready");
  BOOST_TEST(exit_code_of(exited(3)) == 3);
  BOOST_TEST(exit_code_of(killed(SIGKILL)) == 137);
}
