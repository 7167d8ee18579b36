// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <grp.h>
#include <signal.h>
#include <unistd.h>

#include <boost/filesystem/operations.hpp>
#include <boost/test/unit_test.hpp>
#include <functional>
#include <sstream>
#include <string>

#include "scene.hpp"

namespace scene {

/// A service in a directory of its own; the first argument of the test is the program.
struct Probe {
  Scene scene;
  std::string pidfile = scene.path("pid");
  std::string log = scene.path("log");
  std::string config = scene.path("conf");
  std::string program = boost::filesystem::absolute(scene::argument(1)).string();

  scene::Words command(scene::Words words) const {
    words.insert(words.begin(), program);
    words.insert(words.end(), {"--pidfile", pidfile});
    return words;
  }
  scene::Result run(const scene::Words& words, const std::function<void()>& surroundings = {}) const {
    return Scene::run(command(words), surroundings);
  }
  scene::Result start(scene::Words words = {}) const {
    words.insert(words.begin(), {"start", "--log", log});
    return run(words);
  }
  bool logs(const std::string& text) const {
    return scene::eventually([&] { return scene::contents(log).find(text) != std::string::npos; });
  }
  bool logs_now(const std::string& text) const {
    return scene::contents(log).find(text) != std::string::npos;
  }
  std::string kill_worker_and_await_respawn(int number = 1) const;
  // Expects the exit code `status`, one line on standard error, and no process that is left.
  void fails(const scene::Words& words, int status, const std::string& line) const {
    const auto result = run(words);
    BOOST_TEST(result.end.exited(status), words[0] << ": " << result.end);
    BOOST_TEST(result.err == "probe: " + line + '\n');
    BOOST_TEST(scene::children().empty());
  }
};

// Waits until a service with a monitor is ready, kills its worker `number`, and waits for the next. (A worker
// that is killed before it is ready ends the start.) \return the output of `status` then
inline std::string Probe::kill_worker_and_await_respawn(int number) const {
  std::string text;
  const auto shows = [&](const std::string& worker) {
    return scene::eventually([&] {
      text = run({"status"}).out;
      return text.find("probe: running, ") == 0 && text.find("; " + worker + " since 2") != std::string::npos;
    });
  };
  BOOST_REQUIRE(shows("worker " + std::to_string(number)));
  const std::string monitor = std::to_string(scene::pid_in(pidfile));
  pid_t worker = 0;
  std::istringstream(scene::contents("/proc/" + monitor + "/task/" + monitor + "/children")) >> worker;
  BOOST_REQUIRE(worker > 0);
  ::kill(worker, SIGKILL);
  BOOST_TEST(shows("worker " + std::to_string(number + 1)), text);
  return text;
}

/// Says so where something can't be tested.
inline bool skipped(bool is_missing, const std::string& what) {
  if (is_missing) BOOST_TEST_MESSAGE("skipped: " << what);
  return is_missing;
}

// Gives up root, if the test runs as root. Call it in a new process.
inline void become_nobody() {
  if (::geteuid() != 0) return;
  if (::setgroups(0, nullptr) != 0 || ::setgid(65534) != 0 || ::setuid(65534) != 0) ::_exit(126);
}

}  // namespace scene
