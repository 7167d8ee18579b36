// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE heartbeat

// The example as its user sees it.

#include <signal.h>

#include <boost/filesystem/operations.hpp>
#include <boost/test/unit_test.hpp>

#include "scene.hpp"

using scene::Scene;

namespace {

struct Heartbeat {
  Scene scene;
  std::string pidfile = scene.path("pid");
  std::string log = scene.path("log");
  std::string config = scene.path("config");

  scene::Result run(scene::Words words) const {
    words.insert(words.begin(), boost::filesystem::absolute(scene::argument(1)).string());
    return Scene::run(words);
  }
  scene::Result start(const scene::Words& more = {}) const {
    scene::Words words = {"start", "--pidfile", pidfile, "--log", log, "--interval", "0.01"};
    words.insert(words.end(), more.begin(), more.end());
    return run(words);
  }
  scene::Result stop() const { return run({"stop", "--pidfile", pidfile}); }

  bool logs(const std::string& text) const {
    return scene::eventually([&] { return scene::contents(log).find(text) != std::string::npos; });
  }
  void fails(const scene::Words& words, int status, const std::string& line) const {
    const auto result = run(words);
    BOOST_TEST(result.end.exited(status));
    BOOST_TEST(result.err == "heartbeat: " + line + '\n');
    BOOST_TEST(result.out.empty());
  }
};

}  // namespace

BOOST_FIXTURE_TEST_CASE(starts_beats_and_stops, Heartbeat) {
  const auto started = start();
  BOOST_TEST(started.end.exited(0));
  const pid_t pid = scene::pid_in(pidfile);
  BOOST_TEST(started.out == "started, pid " + std::to_string(pid) + '\n');
  BOOST_TEST(logs("beat\nbeat\n"));
  const auto stopped = stop();
  BOOST_TEST(stopped.end.exited(0));
  BOOST_TEST(stopped.err.empty());
  BOOST_TEST(!scene::exists(pidfile));
  BOOST_TEST(logs("stopped\n"));
  BOOST_TEST(scene::await_end(pid).exited(0));
}

BOOST_FIXTURE_TEST_CASE(reads_its_configuration_again_and_keeps_the_old_one_if_it_is_broken, Heartbeat) {
  scene::write_file(config, "message = first\n");
  BOOST_TEST(start({"--config", config}).end.exited(0));
  BOOST_TEST(logs("first\nfirst\n"));
  const pid_t pid = scene::pid_in(pidfile);
  scene::write_file(config, "message = second\n");
  ::kill(pid, SIGHUP);
  BOOST_TEST(logs("configuration read: second\nsecond\n"));
  scene::write_file(config, "message = third\nunknown = 1\n");
  ::kill(pid, SIGHUP);
  BOOST_TEST(logs("heartbeat: reload: unrecognised option 'unknown'\nsecond\n"));
  BOOST_TEST(stop().end.exited(0));
  BOOST_TEST(scene::contents(log).find("third") == std::string::npos);
}

BOOST_FIXTURE_TEST_CASE(says_what_is_wrong_in_one_line, Heartbeat) {
  fails({"stop", "--pidfile", pidfile}, 7, "Not running");
  fails({}, 2, "a command is missing (start or stop)");
  fails({"dance"}, 2, "unknown command \"dance\" (start or stop)");
  fails({"start", "--pidfile"}, 2, "the required argument for option '--pidfile' is missing");
  fails({"start", "--volume", "11"}, 2, "unrecognised option '--volume'");
  fails({"start", "--pidfile", pidfile, "--interval", "-1"}, 1,
        "interval: must be above 0 and at most 86400 seconds");
  fails({"start", "--pidfile", pidfile, "--config", config}, 1,
        "cannot open the configuration file \"" + config + '"');
  const std::string nowhere = scene.path("none/log");
  fails({"start", "--pidfile", pidfile, "--log", nowhere}, 1,
        "cannot open the file \"" + nowhere + "\": No such file or directory");
  BOOST_TEST(!scene::exists(pidfile));
  BOOST_TEST(scene::children().empty());
}

BOOST_FIXTURE_TEST_CASE(runs_once, Heartbeat) {
  BOOST_TEST(start().end.exited(0));
  const auto again = start();
  BOOST_TEST(again.end.exited(1));
  BOOST_TEST(again.err == "heartbeat: already running, pid " + std::to_string(scene::pid_in(pidfile)) +
                              " (pidfile \"" + pidfile + "\")\n");
  BOOST_TEST(stop().end.exited(0));
}
