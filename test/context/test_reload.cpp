// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE reload
#include "context/reload.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

#include "process/fork_handlers.hpp"
#include "process/owner.hpp"

namespace {

struct Fixture {
  daemonctx::Plan plan{.options = {}, .launch = {daemonctx::LaunchMode::foreground, "of a test"}};
  daemonctx::Resources resources;
  daemonctx::ReadinessState readiness{plan, resources};
  std::vector<std::string> reports;
  daemonctx::ReloadState reload{readiness, resources, [this](const std::exception_ptr& error) {
                                  reports.push_back(daemonctx::message_of(error));
                                }};
  Fixture() {
    daemonctx::process::register_fork_handlers();
    daemonctx::process::become_owner();
  }
};

}  // namespace

BOOST_FIXTURE_TEST_CASE(without_a_function_nothing_happens, Fixture) {
  reload.run();
  BOOST_TEST(reports.empty());
}

BOOST_FIXTURE_TEST_CASE(an_exception_from_a_reload_is_reported_and_the_next_reload_runs, Fixture) {
  int runs = 0;
  reload.offer([&] {
    if (++runs == 1) throw std::runtime_error("no such key");
  });
  reload.run();
  reload.run();
  BOOST_TEST(runs == 2);
  BOOST_TEST(reports == std::vector<std::string>{"no such key"});
}

BOOST_FIXTURE_TEST_CASE(a_reload_that_is_requested_inside_a_reload_follows_it, Fixture) {
  int runs = 0;
  int depth = 0;
  reload.offer([&] {
    BOOST_TEST(++depth == 1);
    if (++runs < 3) reload.run();
    --depth;
  });
  reload.run();
  BOOST_TEST(runs == 3);
}

BOOST_FIXTURE_TEST_CASE(reloads_from_many_threads_run_one_at_a_time, Fixture) {
  std::atomic<int> at_once = 0;
  std::atomic<int> runs = 0;
  std::atomic<bool> overlapped = false;
  reload.offer([&] {
    if (++at_once != 1) overlapped = true;
    ++runs;
    --at_once;
  });
  std::vector<std::thread> threads;
  for (int n = 0; n < 4; ++n) {
    threads.emplace_back([&] {
      for (int round = 0; round < 2000; ++round) reload.run();
    });
  }
  for (std::thread& thread : threads) thread.join();
  const int before = runs;
  reload.run();  // no earlier run is left under way
  BOOST_TEST(runs == before + 1);
  BOOST_TEST(!overlapped);
}

// A reload function may hold the user's objects, and their destructors may call anything.
BOOST_FIXTURE_TEST_CASE(a_function_is_destroyed_outside_the_lock, Fixture) {
  struct Offers {
    daemonctx::ReloadState& reload;
    int& runs;
    ~Offers() {
      reload.offer([&counted = runs] { ++counted; });
    }
  };
  int runs = 0;
  reload.offer([offers = std::shared_ptr<Offers>(new Offers{reload, runs})] {});
  reload.offer([] {});
  reload.run();
  BOOST_TEST(runs <= 1);  // either offer may be the last one
}

BOOST_FIXTURE_TEST_CASE(a_child_that_comes_back_from_a_reload_reports_nothing_and_begins_no_other, Fixture) {
  int runs = 0;
  pid_t child = -1;
  reload.offer([&] {
    ++runs;
    child = ::fork();
    if (child != 0) return;
    reload.run();  // in the parent a second reload would follow
    throw std::runtime_error("of the child");
  });
  reload.run();
  if (child == 0) ::_exit(runs == 1 && reports.empty() ? 0 : 1);
  int status = -1;
  ::waitpid(child, &status, 0);
  BOOST_TEST(status == 0);
  BOOST_TEST(runs == 1);
}
