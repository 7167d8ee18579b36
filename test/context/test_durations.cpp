// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE durations

// Every option and call that takes a length of time: at zero, at one nanosecond, at the largest value.

#include <signal.h>
#include <daemonctx/controller.hpp>

#include <boost/test/unit_test.hpp>

#include "stage.hpp"

using daemonctx::Controller;
using scene::Stage;
using scene::Words;
using namespace std::chrono_literals;

namespace {

constexpr auto longest = std::chrono::milliseconds::max();

Words with(Words words, const Words& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

const Words zero_unit_max = {"0", "1ns", "max"};

// A daemon that starts, and ends when it is told to.
void works(Stage& stage, const Words& options) {
  BOOST_TEST_CONTEXT(options.back()) {
    stage.stop(stage.start(with({"pidfile=" + stage.pidfile}, options)));
    BOOST_TEST(!scene::exists(stage.pidfile));
  }
}

// Like that, with a monitor: the daemon that is told to stop is not the one that works.
struct Supervised : Stage {
  scene::Facts start(const std::string& policy, const Words& actions) {
    const auto result =
        run(with({"pidfile=" + pidfile, "err=" + log, "respawn=" + policy, "facts"}, actions));
    BOOST_REQUIRE(result.end.exited(0));
    monitor = scene::pid_in(pidfile);
    return scene.facts();
  }
  scene::End stop() const {
    ::kill(monitor, SIGTERM);
    return scene::await_end(monitor);
  }
  // How often it was scheduled: a process that spins is, without an end.
  std::string switches() const {
    return scene::status_field(monitor, "voluntary_ctxt_switches") + '+' +
           scene::status_field(monitor, "nonvoluntary_ctxt_switches");
  }

  pid_t monitor = 0;
};

}  // namespace

// ---- Options.

BOOST_FIXTURE_TEST_CASE(lock_timeout_starts_at_once_where_the_lock_is_free, Stage) {
  for (const std::string& each : zero_unit_max) works(*this, {"lock_timeout=" + each});
}

BOOST_FIXTURE_TEST_CASE(lock_timeout_waits_as_long_as_it_says_for_a_running_daemon, Stage) {
  const auto first = start({"pidfile=" + pidfile});
  for (const char* each : {"0", "1ns"}) {
    const auto second = run({"pidfile=" + pidfile, std::string("lock_timeout=") + each, "wait"});
    BOOST_TEST(second.end.exited(1));
    BOOST_TEST(second.err.find("already running") != std::string::npos, second.err);
  }
  auto third = begin({"daemon", "pidfile=" + pidfile, "lock_timeout=max", "on_wait=yes", "facts", "wait"});
  scene.expect("waiting");
  ::kill(std::stoi(first.at("pid")), SIGTERM);
  BOOST_TEST(third.finish().end.exited(0));
  BOOST_TEST(scene::await_end(std::stoi(first.at("pid"))).exited(0));
  const auto ends = [&] { return !scene::exists(pidfile); };
  ::kill(scene::pid_in(pidfile), SIGTERM);
  BOOST_TEST(scene::eventually(ends));
}

BOOST_FIXTURE_TEST_CASE(ready_timeout_takes_down_what_is_not_ready_in_time, Stage) {
  works(*this, {"ready_timeout=max"});
  works(*this, {"ready_timeout=forever"});
  for (const auto& [value, text] : {std::pair("0", "0 ms"), std::pair("1ns", "1 ns")}) {
    refuses({"pidfile=" + pidfile, std::string("ready_timeout=") + value, "readiness=notified", "hang"},
            std::string("the daemon was not ready within ") + text);
  }
}

BOOST_FIXTURE_TEST_CASE(cleanup_timeout_gives_up_what_does_not_end_in_time, Stage) {
  works(*this, {"cleanup_timeout=max"});
  refuses({"cleanup_timeout=0", "wait"},
          "cleanup_timeout: must be longer than zero: each cleanup would be given up at once");
  const auto facts = start({"pidfile=" + pidfile, "err=" + log, "cleanup_timeout=1ns", "cleanup_hang"});
  ::kill(std::stoi(facts.at("pid")), SIGTERM);
  BOOST_TEST(scene::await_end(std::stoi(facts.at("pid"))).exited(1));
  BOOST_TEST(scene::contents(log).find("did not end within 1 ns, given up") != std::string::npos);
  BOOST_TEST(!scene::exists(pidfile));
}

BOOST_FIXTURE_TEST_CASE(a_policy_takes_the_largest_values_and_sleeps, Supervised) {
  start("first:0,longest:max,window:max,stable:max,stop:max,hang:max,most:3", {"wait"});
  BOOST_REQUIRE(scene::eventually([&] { return scene::status_field(monitor, "State").rfind("S ", 0) == 0; }));
  const auto asleep = [&] {
    const std::string before = switches();
    ::usleep(100'000);
    return switches() == before;
  };
  BOOST_TEST(scene::eventually(asleep));
  BOOST_TEST(stop().exited(0));
  scene.expect("stop");
}

BOOST_FIXTURE_TEST_CASE(a_window_without_an_end_allows_so_many_restarts_in_all, Supervised) {
  const std::string policy = "respawn=first:0,window:max,most:3";
  const auto result = run({"pidfile=" + pidfile, "err=" + log, policy, "say:began", "ready", "_exit:1"});
  BOOST_TEST(result.end.exited(0));
  for (int worker = 1; worker <= 4; ++worker) scene.expect("began");
  BOOST_TEST(scene::eventually([&] { return !scene::exists(pidfile); }));
  BOOST_TEST(scene::contents(log).find("given up after 3 restarts") != std::string::npos,
             scene::contents(log));
  BOOST_TEST(!scene.has_line());
}

BOOST_FIXTURE_TEST_CASE(a_delay_without_an_end_is_ended_by_a_stop, Supervised) {
  start("first:max,longest:max,window:forever,most:1", {"_exit:1"});
  BOOST_TEST(scene::eventually(
      [&] { return scene::contents(log).find("exited with code 1") != std::string::npos; }));
  BOOST_TEST(stop().exited(1));
}

BOOST_FIXTURE_TEST_CASE(stop_timeout_kills_at_once_or_never, Supervised) {
  for (const char* each : {"0", "1ns"}) {
    start(std::string("first:1,stop:") + each, {"hang"});
    BOOST_TEST(stop().exited(128 + SIGKILL));
  }
  start("first:1,stop:max", {"cleanup_slow:50", "wait"});
  BOOST_TEST(stop().exited(0));
  scene.expect("stop");
  scene.expect("slow cleanup");
}

BOOST_FIXTURE_TEST_CASE(what_no_policy_can_mean_is_refused, Stage) {
  const auto refused = [&](const std::string& policy, const std::string& reason) {
    refuses({"respawn=" + policy, "wait"}, "respawn_policy: " + reason);
  };
  refused("window:0", "window must be longer than zero");
  refused("stable:0", "stable_after must be longer than zero: each run would reset the count");
  refused("hang:0", "hang_timeout must be longer than zero: each worker would hang at once");
  refused("longest:0", "longest_delay is shorter than first_delay");
}

// ---- Calls.

BOOST_FIXTURE_TEST_CASE(a_wait_ends_at_once_or_with_the_stop, Stage) {
  for (const char* each : {"wait_for:max", "wait_for:forever", "wait_until"}) {
    run({"pidfile=" + pidfile, "facts", "wait_for:-1", "wait_for:0", "wait_for:1ns", "say:waits", each});
    const pid_t daemon = std::stoi(scene.facts().at("pid"));
    for (int n = 0; n < 3; ++n) scene.expect("no stop");
    scene.expect("waits");
    if (each == std::string("wait_until")) scene.expect("no stop");  // until the clock's beginning
    stop(daemon);
  }
}

BOOST_FIXTURE_TEST_CASE(a_controller_waits_as_long_as_it_is_told, Stage) {
  const Controller controller(pidfile);
  std::error_code error;
  start({"pidfile=" + pidfile, "on_reload"});
  BOOST_TEST(controller.reload(0s).pid == scene::pid_in(pidfile));
  scene.expect("reloaded");
  controller.reload(1ns, error);
  BOOST_TEST((!error || error == std::errc::timed_out), error.message());
  scene.expect("reloaded");
  BOOST_TEST(controller.reload(longest).refusal == "");
  scene.expect("reloaded");
  const auto stopped = controller.stop({{SIGCONT, 0s}, {SIGCONT, 1ns}, {SIGTERM, longest}});
  BOOST_TEST(stopped.signal == SIGTERM);
  scene.expect("stop");
}
