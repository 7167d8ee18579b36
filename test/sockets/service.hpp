// SPDX-License-Identifier: BSL-1.0
#pragma once

// A service with named sockets, in every way to run it.

#include <signal.h>

#include <boost/test/unit_test.hpp>
#include <optional>
#include <ostream>

#include "client.hpp"
#include "scene.hpp"

namespace scene {

struct Way {
  const char* name;
  Words options;
  bool has_monitor;
};

inline std::ostream& operator<<(std::ostream& out, const Way& way) { return out << way.name; }

inline const Way detached{"detached", {}, false};
inline const Way monitored{"detached, with a monitor", {"respawn=first:0"}, true};
inline const Way foreground{"in the foreground", {"detach=never"}, false};
inline const Way monitored_foreground{
    "in the foreground, with a monitor", {"detach=never", "respawn=first:0"}, true};
inline const std::vector<Way> ways = {detached, monitored, foreground, monitored_foreground};
inline const std::vector<Way> ways_without_monitor = {detached, foreground};

/// A service that serves the socket "web" until the end of the test, or until `stop`.
class SocketService {
 public:
  SocketService(Scene& scene, const Way& way, Words options,
                const Words& actions = {"socket:web", "serve:web"},
                const std::function<void()>& surroundings = {}, std::string pidfile = "pid",
                const std::string& program = probe())
      : scene_(scene), pidfile_(scene.path(pidfile)) {
    Words words = {program, scene.path("channel"), "daemon", "pidfile=" + pidfile_};
    words.insert(words.end(), way.options.begin(), way.options.end());
    words.insert(words.end(), options.begin(), options.end());
    words.insert(words.end(), actions.begin(), actions.end());
    running_.emplace(Scene::start(words, surroundings));
    const bool detaches = way.options.empty() || way.options[0] != "detach=never";
    if (!detaches) return;
    const auto result = running_->finish();
    BOOST_TEST(result.err == "");
    BOOST_REQUIRE(result.end.exited(0));
  }

  /// Reads the reports of "socket:web" and "serve:web". \return the address
  std::string begun() {
    const std::string line = scene_.next();
    worker_ = serving();
    const auto space = line.find(' ');
    BOOST_TEST(line.substr(0, space) == "web");
    return line.substr(space + 1);
  }

  /// Reads the report of "serve:web". \return the worker
  pid_t serving() {
    const std::string line = scene_.next();
    BOOST_REQUIRE(line.rfind("serving ", 0) == 0U);
    return worker_ = std::stoi(line.substr(8));
  }

  pid_t worker() const { return worker_; }
  pid_t leader() const { return pid_in(pidfile_); }

  void stop() {
    const pid_t pid = leader();
    BOOST_REQUIRE(pid > 0);
    ::kill(pid, SIGTERM);
    scene_.expect("stop");
    BOOST_TEST(await_end(pid).exited(0));
  }

 private:
  Scene& scene_;
  std::string pidfile_;
  std::optional<Running> running_;
  pid_t worker_ = 0;
};

}  // namespace scene
