// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE durations

// Every option and call that takes a timeout: with zero, one nanosecond and the largest value.

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

// Starts a daemon with `options`, and stops it.
void check_start_and_stop(Stage& stage, const Words& options) {
  BOOST_TEST_CONTEXT(options.back()) {
    stage.stop(stage.start(with({"pidfile=" + stage.pidfile}, options)));
    BOOST_TEST(!scene::exists(stage.pidfile));
  }
}

// A daemon with a monitor: the test sends SIGTERM to the monitor, while a worker does the work.
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
  // How often the monitor was scheduled. The number keeps growing for a process that spins.
  std::string switches() const {
    return scene::status_field(monitor, "voluntary_ctxt_switches") + '+' +
           scene::status_field(monitor, "nonvoluntary_ctxt_switches");
  }

  pid_t monitor = 0;
};

}  // namespace

// ---- Options.

BOOST_FIXTURE_TEST_CASE(lock_timeout_starts_at_once_where_the_lock_is_free, Stage) {
  for (const std::string& each : zero_unit_max) check_start_and_stop(*this, {"lock_timeout=" + each});
}

BOOST_FIXTURE_TEST_CASE(lock_timeout_is_how_long_a_start_waits_for_a_running_daemon, Stage) {
  const auto first = start({"pidfile=" + pidfile});
  for (const char* each : {"0", "1ns"}) {
    const auto second = run({"pidfile=" + pidfile, std::string("lock_timeout=") + each, "wait"});
    BOOST_TEST(second.end.exited(1));
    BOOST_TEST(second.err.find("already running") != std::string::npos, second.err);
  }
  stop(first);
  const pid_t leaving = start_leaving();
  auto third = begin({"daemon", "pidfile=" + pidfile, "lock_timeout=max", "on_wait=yes", "facts", "wait"});
  scene.expect("waiting");
  ::kill(leaving, SIGKILL);
  BOOST_TEST(third.finish().end.exited(0));
  scene::await_end(leaving);
  const auto ends = [&] { return !scene::exists(pidfile); };
  ::kill(scene::pid_in(pidfile), SIGTERM);
  BOOST_TEST(scene::eventually(ends));
}

// A start waits two seconds for a daemon that stays. Each of these holders keeps the lock for longer.
BOOST_AUTO_TEST_CASE(lock_timeout_is_for_a_daemon_that_is_starting_or_leaving) {
  const std::vector<Words> holders = {
      {"readiness=notified", "say:up", "wait_for:3000", "_exit:1"},
      {"respawn=first:1", "cleanup_slow:3000", "say:up", "request_stop"},
      {"respawn=stop:3000", "say:up", "hang"},
      {"cleanup_slow:3000", "say:up", "wait"},
  };
  std::vector<Stage> stages(holders.size());
  std::vector<scene::Running> started;
  for (std::size_t n = 0; n < holders.size(); ++n) {
    Stage& stage = stages[n];
    started.push_back(stage.begin(with({"daemon", "pidfile=" + stage.pidfile}, holders[n])));
    stage.scene.expect("up");
    if (n > 0) ::kill(scene::pid_in(stage.pidfile), SIGTERM);
    started.push_back(stage.begin({"daemon", "pidfile=" + stage.pidfile, "lock_timeout=forever", "hang"}));
  }
  for (std::size_t n = 0; n < holders.size(); ++n) {
    BOOST_TEST_CONTEXT(holders[n].front()) {
      started[2 * n].finish();
      BOOST_TEST(started[2 * n + 1].finish().end.exited(0));
      const pid_t daemon = scene::pid_in(stages[n].pidfile);
      BOOST_REQUIRE(daemon > 0);
      ::kill(daemon, SIGKILL);
      scene::await_end(daemon);
    }
  }
}

BOOST_FIXTURE_TEST_CASE(lock_timeout_is_not_for_a_daemon_that_stays, Stage) {
  for (const Words& kind : {Words{}, Words{"respawn=first:1"}}) {
    start(with({"pidfile=" + pidfile}, kind));
    const pid_t daemon = scene::pid_in(pidfile);
    const auto second = run({"pidfile=" + pidfile, "lock_timeout=forever"});
    BOOST_TEST(second.end.exited(1));
    BOOST_TEST(second.err.find("already running, pid " + std::to_string(daemon)) != std::string::npos,
               second.err);
    stop(daemon);
  }
}

// The service has another use for SIGTERM.
BOOST_FIXTURE_TEST_CASE(a_daemon_that_goes_on_after_sigterm_stays, Stage) {
  BOOST_REQUIRE(run({"pidfile=" + pidfile, "map:15", "say:up", "wait"}).end.exited(0));
  scene.expect("up");
  const pid_t daemon = scene::pid_in(pidfile);
  ::kill(daemon, SIGTERM);
  scene.expect("mapped 15");
  BOOST_TEST(run({"pidfile=" + pidfile, "lock_timeout=forever"}).end.exited(1));
  ::kill(daemon, SIGKILL);
  scene::await_end(daemon);
}

BOOST_FIXTURE_TEST_CASE(ready_timeout_takes_down_a_daemon_that_is_not_ready_in_time, Stage) {
  check_start_and_stop(*this, {"ready_timeout=max"});
  check_start_and_stop(*this, {"ready_timeout=forever"});
  for (const auto& [value, text] : {std::pair("0", "0 ms"), std::pair("1ns", "1 ns")}) {
    refuses({"pidfile=" + pidfile, std::string("ready_timeout=") + value, "readiness=notified", "hang"},
            std::string("the daemon was not ready within ") + text);
  }
}

BOOST_FIXTURE_TEST_CASE(cleanup_timeout_gives_up_a_cleanup_that_does_not_end_in_time, Stage) {
  check_start_and_stop(*this, {"cleanup_timeout=max"});
  refuses({"cleanup_timeout=0", "wait"},
          "cleanup_timeout: must be longer than zero: each cleanup would be given up at once");
  const auto facts = start({"pidfile=" + pidfile, "err=" + log, "cleanup_timeout=1ns", "cleanup_hang"});
  ::kill(std::stoi(facts.at("pid")), SIGTERM);
  BOOST_TEST(scene::await_end(std::stoi(facts.at("pid"))).exited(1));
  BOOST_TEST(scene::contents(log).find("did not end within 1 ns, given up") != std::string::npos);
  BOOST_TEST(!scene::exists(pidfile));
}

BOOST_FIXTURE_TEST_CASE(a_monitor_with_the_largest_values_sleeps, Supervised) {
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

BOOST_FIXTURE_TEST_CASE(an_endless_window_allows_max_restarts_in_total, Supervised) {
  const std::string policy = "respawn=first:0,window:max,most:3";
  const auto result = run({"pidfile=" + pidfile, "err=" + log, policy, "say:began", "ready", "_exit:1"});
  BOOST_TEST(result.end.exited(0));
  for (int worker = 1; worker <= 4; ++worker) scene.expect("began");
  BOOST_TEST(scene::eventually([&] { return !scene::exists(pidfile); }));
  BOOST_TEST(scene::contents(log).find("given up after 3 restarts") != std::string::npos,
             scene::contents(log));
  BOOST_TEST(!scene.has_line());
}

BOOST_FIXTURE_TEST_CASE(a_stop_ends_an_endless_delay, Supervised) {
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

BOOST_FIXTURE_TEST_CASE(a_policy_with_an_impossible_value_is_refused, Stage) {
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
    if (each == std::string("wait_until")) scene.expect("no stop");  // the clock's epoch has passed
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
