// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE cleanup_timeout
#include "cleanup/cleanup_timeout.hpp"

#include <signal.h>

#include <boost/test/unit_test.hpp>
#include <future>

using daemonctx::CleanupTimeout;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_CASE(give_up_is_called_after_the_timeout) {
  std::promise<void> given_up;
  std::atomic<int> times = 0;
  const auto begin = std::chrono::steady_clock::now();
  CleanupTimeout watch(20ms, [&] {
    if (++times == 1) given_up.set_value();
  });
  given_up.get_future().wait();
  BOOST_TEST((std::chrono::steady_clock::now() - begin >= 20ms));
}

BOOST_AUTO_TEST_CASE(give_up_is_called_again_after_each_further_timeout) {
  std::promise<void> asked_thrice;
  std::atomic<int> times = 0;
  CleanupTimeout watch(1ms, [&] {
    if (++times == 3) asked_thrice.set_value();
  });
  asked_thrice.get_future().wait();
}

BOOST_AUTO_TEST_CASE(the_watching_thread_blocks_signals) {
  std::promise<bool> told;
  std::atomic<int> times = 0;
  CleanupTimeout watch(1ms, [&] {
    sigset_t mask;
    ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
    if (++times == 1) told.set_value(sigismember(&mask, SIGTERM) == 1 && sigismember(&mask, SIGUSR1) == 1);
  });
  BOOST_TEST(told.get_future().get());
}

BOOST_AUTO_TEST_CASE(give_up_is_not_called_after_rearm_or_after_the_end) {
  std::atomic<bool> given_up = false;
  {
    CleanupTimeout watch(1h, [&] { given_up = true; });
    for (int n = 0; n < 100; ++n) watch.rearm();
  }
  BOOST_TEST(!given_up);
}

// The destructor may run while the thread is just starting, or between two of its checks.
BOOST_AUTO_TEST_CASE(the_thread_never_overlooks_the_end) {
  std::atomic<int> given_up = 0;
  for (int round = 0; round < 20000 && given_up == 0; ++round) {
    CleanupTimeout watch(2s, [&] { ++given_up; });
    for (int n = round % 50; n > 0; --n) watch.rearm();
  }
  BOOST_TEST(given_up == 0);
}
