// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE end
#include "context/end.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <stdexcept>
#include <string>

#include "process/end_of_process.hpp"
#include "process/gate.hpp"

using namespace std::chrono_literals;
using daemonctx::DaemonOptions;
using daemonctx::Ending;
using daemonctx::forever;
using daemonctx::Timeout;

namespace {

struct Fixture {
  explicit Fixture(DaemonOptions given = {})
      : plan{.options = std::move(given), .launch = {{}, "of a test"}} {}

  daemonctx::process::ContextClaim claim;
  daemonctx::Plan plan;
  daemonctx::Resources resources;
  daemonctx::ReadinessState readiness{plan, resources};
  daemonctx::detail::CleanupStack cleanups;
  daemonctx::SignalDispatcher signals{{}, {}};
  daemonctx::Upgrade upgrade{plan, resources, {}};
  Ending ending{{plan.options, cleanups, readiness, resources, signals, upgrade}};
  std::string order;
};

}  // namespace

BOOST_AUTO_TEST_CASE(patience_is_cleanup_timeout_or_five_seconds) {
  BOOST_TEST((Ending::patience({.cleanup_timeout = 7ms}) == 7ms));
  BOOST_TEST((Ending::patience({}) == 5s));
}

BOOST_FIXTURE_TEST_CASE(cleanups_run_last_first_and_once, Fixture) {
  for (const char* name : {"a", "b", "c"}) {
    cleanups.push([this, name] { order += name; });
  }
  ending.run("over", true, true);
  ending.run("over", true, true);
  BOOST_TEST(order == "cba");
  BOOST_TEST(daemonctx::process::has_ended());
}

BOOST_FIXTURE_TEST_CASE(a_cleanup_that_calls_exit_runs_the_remaining_cleanups_itself, Fixture) {
  cleanups.push([this] { order += "a"; });
  cleanups.push([this] {
    ending.run("a cleanup called exit", false, false);
    order += "b";
  });
  ending.run("over", true, true);
  BOOST_TEST(order == "ab");
}

BOOST_AUTO_TEST_CASE(an_exception_from_a_cleanup_is_reported_and_the_rest_runs) {
  std::string reported;
  Fixture fixture({.on_error = [&](const std::exception_ptr& error, std::string_view where) {
    reported += std::string(where) + ": " + daemonctx::message_of(error);
  }});
  fixture.cleanups.push([&] { fixture.order += "a"; });
  fixture.cleanups.push([] { throw std::runtime_error("broken"); });
  fixture.ending.run("over", true, true);
  BOOST_TEST(fixture.order == "a");
  BOOST_TEST(reported == "cleanup: broken");
}

BOOST_AUTO_TEST_CASE(a_child_that_comes_back_from_a_cleanup_runs_no_other) {
  for (const Timeout timeout : {Timeout(forever), Timeout(30s)}) {
    Fixture fixture({.cleanup_timeout = timeout});
    pid_t child = -1;
    fixture.cleanups.push([&] { fixture.order += "a"; });
    fixture.cleanups.push([&] { child = ::fork(); });
    fixture.ending.run("over", true, true);
    if (child == 0) ::_exit(fixture.order.empty() ? 0 : 1);
    int status = -1;
    BOOST_TEST(::waitpid(child, &status, 0) == child);
    BOOST_TEST(status == 0);
    BOOST_TEST(fixture.order == "a");
  }
}

BOOST_AUTO_TEST_CASE(a_cleanup_that_hangs_is_given_up) {
  const pid_t child = ::fork();
  if (child == 0) {
    Fixture fixture(
        {.on_error = [](const std::exception_ptr&, std::string_view) {}, .cleanup_timeout = 50ms});
    fixture.cleanups.push([] {
      for (;;) ::pause();
    });
    fixture.ending.run("over", true, true);
    ::_exit(0);
  }
  int status = -1;
  BOOST_TEST(::waitpid(child, &status, 0) == child);
  BOOST_TEST((WIFEXITED(status) && WEXITSTATUS(status) == EXIT_FAILURE));
}
