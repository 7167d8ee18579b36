// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE title

// What ps(1) shows.

#include <unistd.h>

#include <boost/test/unit_test.hpp>

#include "stage.hpp"

using scene::contents;
using scene::pid_in;
using scene::Stage;

namespace {

std::string short_name(pid_t process) { return contents("/proc/" + std::to_string(process) + "/comm"); }

// Up to the first NUL, as ps(1) reads it.
std::string full_title(pid_t process) {
  return contents("/proc/" + std::to_string(process) + "/cmdline").c_str();
}

struct Supervised : Stage {
  pid_t monitor = 0;
  pid_t worker = 0;

  void start(scene::Words words) {
    words.insert(words.begin(), {"pidfile=" + pidfile, "respawn=first:1"});
    words.insert(words.end(), {"tell_worker", "wait"});
    BOOST_REQUIRE(run(words).end.exited(0));
    monitor = pid_in(pidfile);
    next_worker();
  }
  void next_worker() {
    const std::string told = scene.next();  // "worker 1 pid N ..."
    worker = static_cast<pid_t>(std::stoi(told.substr(told.find("pid ") + 4)));
  }
};

}  // namespace

BOOST_FIXTURE_TEST_CASE(monitor_and_worker_have_short_names_of_their_own, Supervised) {
  start({});
  BOOST_TEST(short_name(monitor) == "daemon_probe: m\n");  // the kernel keeps 15 bytes
  BOOST_TEST(short_name(worker) == "daemon_probe: w\n");
  BOOST_TEST(full_title(monitor) == program);
  stop(monitor);
}

BOOST_FIXTURE_TEST_CASE(a_start_in_the_foreground_that_fails_changes_no_name, Stage) {
  const std::vector<scene::Words> failures = {{"cwd=/none"},
                                              {"respawn=first:1", "readiness=notified", "_exit:3"}};
  for (scene::Words words : failures) {
    words.insert(words.begin(), {"detach=never", "title=beat", "report_failure"});
    BOOST_TEST(run(words).end.exited(1));
    BOOST_TEST(scene.facts().at("name") == "daemon_probe");
  }
}

BOOST_FIXTURE_TEST_CASE(with_a_title_they_have_full_titles, Supervised) {
  start({"title=beat"});
  BOOST_TEST(full_title(monitor) == "beat: monitor");
  BOOST_TEST(full_title(worker) == "beat: worker 1");
  BOOST_TEST(short_name(worker) == "beat: worker 1\n");
  ::kill(worker, SIGKILL);
  next_worker();
  BOOST_TEST(full_title(worker) == "beat: worker 2");
  stop(monitor);
}

BOOST_FIXTURE_TEST_CASE(a_service_without_monitor_has_just_the_title, Stage) {
  BOOST_TEST(run({"pidfile=" + pidfile, "title=beat", "wait"}).end.exited(0));
  BOOST_TEST(full_title(pid_in(pidfile)) == "beat");
  stop(pid_in(pidfile));
}

BOOST_FIXTURE_TEST_CASE(a_second_context_of_a_process_has_the_title_too, Stage) {
  auto service = begin({"daemon", "detach=never", "title=beat", "wait_for:0", "again", "say:up", "wait"});
  scene.expect("no stop");
  scene.expect("up");
  BOOST_TEST(full_title(service.pid()) == "beat");
  ::kill(service.pid(), SIGTERM);
  scene.expect("stop");
  BOOST_TEST(service.finish().end.exited(0));
}

BOOST_FIXTURE_TEST_CASE(a_long_title_is_cut_and_the_environment_stays, Stage) {
  const std::string title(5000, 't');
  BOOST_TEST(run({"pidfile=" + pidfile, "title=" + title, "facts", "wait"}).end.exited(0));
  BOOST_TEST(scene.facts().at("environment").find("PATH=") != std::string::npos);
  const std::string shown = full_title(pid_in(pidfile));
  BOOST_TEST(shown.size() > 100U);
  BOOST_TEST(shown == title.substr(0, shown.size()));
  stop(pid_in(pidfile));
}

BOOST_FIXTURE_TEST_CASE(messages_go_on_to_begin_with_the_name_of_the_program, Stage) {
  const auto result = run({"detach=never", "title=beat", "cleanup_throw:bad"});
  BOOST_TEST(result.err.rfind("daemon_probe: ", 0) == 0U, result.err);
}
