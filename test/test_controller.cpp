// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE controller
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <daemonctx/controller.hpp>

#include "scene.hpp"

using daemonctx::Controller;
using daemonctx::DaemonState;
using scene::Scene;
using namespace std::chrono_literals;

namespace {

pid_t start(Scene& scene, const scene::Words& actions) {
  scene::Words words = {"daemon", "pidfile=" + scene.path("pid"), "signal=10:count", "facts"};
  words.insert(words.end(), actions.begin(), actions.end());
  BOOST_TEST(scene.run_probe(words).end.exited(0));
  return std::stoi(scene.facts().at("pid"));
}

// A process that has nothing to do with the daemon and must live on.
class Bystander {
 public:
  Bystander() : pid_(::fork()) {
    if (pid_ != 0) return;
    for (;;) ::pause();
  }
  ~Bystander() {
    BOOST_TEST(::waitpid(pid_, nullptr, WNOHANG) == 0);
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  Bystander(const Bystander&) = delete;
  Bystander& operator=(const Bystander&) = delete;

  pid_t pid() const { return pid_; }

 private:
  pid_t pid_;
};

}  // namespace

BOOST_AUTO_TEST_CASE(status_is_what_the_locks_say) {
  Scene scene;
  const Controller controller(scene.path("pid"));
  BOOST_TEST((controller.status().state == DaemonState::stopped));
  BOOST_TEST(!scene::exists(scene.path("pid")));  // asking creates nothing
  scene::write_file(scene.path("pid"), std::to_string(::getpid()) + '\n');
  BOOST_TEST((controller.status().state == DaemonState::stale));
  const pid_t daemon = start(scene, {"wait"});
  BOOST_TEST((controller.status().state == DaemonState::running));
  BOOST_TEST(controller.status().pid == daemon);
}

BOOST_AUTO_TEST_CASE(a_stop_ends_the_daemon_and_says_how) {
  Scene scene;
  const pid_t daemon = start(scene, {"cleanup:done", "wait"});
  const auto result = Controller(scene.path("pid")).stop();
  BOOST_TEST(result.pid == daemon);
  BOOST_TEST(result.signal == SIGTERM);
  BOOST_TEST(scene::await_end(daemon).exited(0));
  BOOST_TEST(!scene::exists(scene.path("pid")));
  scene.expect("stop");
  scene.expect("cleanup done");
}

BOOST_AUTO_TEST_CASE(a_deaf_daemon_is_killed_or_reported) {
  Scene scene;
  const pid_t daemon = start(scene, {"hang"});
  std::error_code error;
  const Controller controller(scene.path("pid"));
  controller.stop({{SIGTERM, 20ms}}, error);
  BOOST_TEST((error == std::errc::timed_out));
  const auto result = controller.stop({{SIGTERM, 20ms}, {SIGKILL, 30s}});
  BOOST_TEST(result.signal == SIGKILL);
  BOOST_TEST(scene::await_end(daemon).killed_by(SIGKILL));
}

BOOST_AUTO_TEST_CASE(a_signal_reaches_the_daemon) {
  Scene scene;
  start(scene, {"wait"});
  Controller(scene.path("pid")).send_signal(SIGUSR1);
  scene.expect("signal 10 value 0 from " + std::to_string(::getpid()) + ' ' + std::to_string(::getuid()));
}

BOOST_AUTO_TEST_CASE(whatever_stands_in_the_file_no_bystander_is_signalled) {
  Scene scene;
  const Bystander bystander;
  const std::string file = scene.path("pid");
  std::error_code error;
  const Controller controller(file);
  controller.stop(Controller::default_stop_policy(), error);
  BOOST_TEST((error == std::errc::no_such_process));
  for (const std::string& text :
       {std::to_string(bystander.pid()) + '\n', std::string(), std::string("1\n"), std::string("-1\n"),
        std::string("0\n"), std::string(1 << 20, '9'), std::string("\0\xff", 2)}) {
    scene::write_file(file, text);
    controller.stop(Controller::default_stop_policy(), error);
    BOOST_TEST((error == std::errc::no_such_process));
    controller.send_signal(SIGKILL, error);
    BOOST_TEST((error == std::errc::no_such_process));
  }
  // Forged while a daemon runs: the daemon is stopped, not the one who is named.
  const pid_t daemon = start(scene, {"wait"});
  scene::write_file(file, std::to_string(bystander.pid()) + '\n');
  BOOST_TEST(controller.stop().pid == daemon);
}

BOOST_AUTO_TEST_CASE(the_throwing_ones_name_the_file) {
  Scene scene;
  BOOST_CHECK_EXCEPTION(
      Controller(scene.path("pid")).stop(), std::system_error, [&](const std::system_error& error) {
        return error.code() == std::errc::no_such_process &&
               std::string(error.what()) ==
                   "cannot stop the daemon of \"" + scene.path("pid") + "\": No such process";
      });
  BOOST_CHECK_THROW(Controller(scene.path("pid")).send_signal(SIGUSR1), std::system_error);
}
