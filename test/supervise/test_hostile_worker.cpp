// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE hostile_worker

// A worker that an attacker has taken over. The worker runs as another user, and its monitor as root. Without
// root the test exits with 77: skipped.

#include <fcntl.h>

#include <algorithm>

#include "listener.hpp"
#include "stage.hpp"

using scene::NeedsRoot;
using scene::Words;

namespace {

struct Stage : scene::Stage {
  pid_t monitor = 0;
  const Words as_nobody = {"user=nobody", "pidfile=" + pidfile, "err=" + log, "respawn=first:1"};

  // Starts a daemon whose worker runs the actions `words` and then waits.
  void start(const Words& words, const scene::Surroundings& surroundings = {}) {
    Words all = as_nobody;
    all.insert(all.end(), words.begin(), words.end());
    all.emplace_back("wait");
    const auto result = run(all, surroundings);
    BOOST_TEST(result.err == "");
    BOOST_REQUIRE(result.end.exited(0));
    const auto daemons = scene::children();
    BOOST_REQUIRE(daemons.size() == 1U);
    monitor = daemons.front();
  }
  void stop() {
    scene::Stage::stop(monitor);
    BOOST_TEST(!scene::exists(pidfile));
  }
  void expect_refusal_to_name_monitor() const {
    const auto second = run({"pidfile=" + pidfile});
    BOOST_TEST(second.end.exited(1));
    const std::string line = "already running, pid " + std::to_string(monitor) + " (";
    BOOST_TEST(second.err.find(line) != std::string::npos, second.err);
  }
};

}  // namespace

BOOST_TEST_GLOBAL_FIXTURE(NeedsRoot);

// systemd believes a MAINPID of root, and would stop the process that it names.
BOOST_FIXTURE_TEST_CASE(the_manager_gets_only_messages_that_a_service_may_send, Stage) {
  const scene::Listener manager(scene.path("manager"));
  start({"detach=always", "tell_monitor:MAINPID=1", "tell_monitor:MAINPID=1|STATUS=mine|NOTIFYACCESS=all",
         "tell_monitor:|\n|WATCHDOG_USEC=1", "tell_monitor:RESTART_RESET=1", "tell_monitor:STOPPING=0",
         "tell_monitor:STATUS=last", "say:told"},
        [&] { ::setenv("NOTIFY_SOCKET", manager.name().c_str(), 1); });
  scene.expect("told");
  BOOST_TEST(manager.await().text == "MAINPID=" + std::to_string(monitor) + "\nREADY=1");
  BOOST_TEST(manager.await().text == "BARRIER=1");
  BOOST_TEST(manager.await().text == "STATUS=mine");
  BOOST_TEST(manager.await().text == "STATUS=last");
  stop();
  BOOST_TEST(manager.await().text == "STOPPING=1");
  BOOST_TEST(manager.next().text == "nothing");
}

BOOST_FIXTURE_TEST_CASE(the_monitor_keeps_no_memory_that_can_change_and_opens_no_file_of_the_workers_choice,
                        Stage) {
  start({"ask_to_remember", "tell_monitor:X_DAEMONCTX_REMEMBER=service",
         "tell_monitor:X_DAEMONCTX_REMEMBER=7", "tell_monitor:X_DAEMONCTX_OPEN=0",
         "tell_monitor:X_DAEMONCTX_OPEN=18446744073709551615", "tell_monitor:X_DAEMONCTX_OPEN=/etc/shadow",
         "ask_to_open:0"});
  scene.expect("answer: the memory is not sealed");
  scene.expect("answer: there is no descriptor left");
  scene.expect("answer: 1");  // EPERM
  stop();
}

BOOST_FIXTURE_TEST_CASE(the_monitor_keeps_the_locks_that_identify_it, Stage) {
  // The locks for these numbers would lie on the monitor's own locks.
  start({"tell_monitor:X_DAEMONCTX_RELOAD=2287828610704211968 0 0 x",
         "tell_monitor:X_DAEMONCTX_RELOAD=18446744073709551615 1 1 x",
         "tell_monitor:X_DAEMONCTX_RELOAD=1 0 0 x", "tell_monitor:X_DAEMONCTX_RELOAD=",
         "tell_monitor:X_DAEMONCTX_MAPPED=-1", "tell_monitor:X_DAEMONCTX_MAPPED=9",
         "tell_monitor:X_DAEMONCTX_MAPPED=4711", "seize_pidfile:" + pidfile});
  const bool shares = scene::argument(3) == "fallbacks";  // this build has no F_OFD_SETLK
  const std::string seized = scene.next();
  if (!shares) BOOST_TEST(seized == "seized:");
  if (shares) return stop();
  expect_refusal_to_name_monitor();
  stop();
}

// The monitor takes it for the end of the service, and gives the worker no more time than for any end.
BOOST_FIXTURE_TEST_CASE(a_worker_that_says_that_its_start_was_cut_off_is_stopped, Stage) {
  BOOST_REQUIRE(run({"pidfile=" + pidfile, "respawn=stop:100", "tell_monitor:X_DAEMONCTX_CUT_OFF=1",
                     "say:told", "hang"})
                    .end.exited(0));
  scene.expect("told");
  monitor = scene::pid_in(pidfile);
  BOOST_TEST(scene::eventually([&] { return !scene::exists(pidfile); }));
  BOOST_TEST(scene::await_end(monitor).exited(137));
}

BOOST_FIXTURE_TEST_CASE(a_worker_can_not_forge_how_it_ended, Stage) {
  start({"fill_shared_pages", "facts"});
  if (scene::sanitized) BOOST_TEST(scene.next().rfind("filled ", 0) == 0U);  // the sanitizer has pages too
  else scene.expect("filled 1");
  const std::string worker = scene.facts().at("pid");
  ::kill(std::stoi(worker), SIGKILL);
  const std::string end = "worker " + worker + " (number 1) was killed by SIGKILL after ";
  BOOST_TEST(scene::eventually([&] { return scene::contents(log).find(end) != std::string::npos; }));
  BOOST_TEST(scene.next().rfind("filled ", 0) == 0U);
  scene.facts();
  stop();
}

// A worker that is about to stop is not watched for a hang; it takes its time at a stop, and no longer.
BOOST_FIXTURE_TEST_CASE(a_worker_that_says_that_it_stops_is_stopped_all_the_same, Stage) {
  BOOST_REQUIRE(
      run({"pidfile=" + pidfile, "respawn=stop:100,hang:100", "tell_monitor:STOPPING=1", "say:told", "hang"})
          .end.exited(0));
  scene.expect("told");
  monitor = scene::pid_in(pidfile);
  ::kill(monitor, SIGTERM);
  BOOST_TEST(scene::await_end(monitor).exited(137));
}

// The monitor closes the last copy. A signal would end that wait, so none comes.
BOOST_FIXTURE_TEST_CASE(a_socket_that_lingers_holds_no_monitor_up, Stage) {
  const scene::Listener manager(scene.path("manager"));
  start({"detach=always", "block:10", "facts", "await_signal:10", "send_lingering",
         "tell_monitor:STATUS=after"},
        [&] { ::setenv("NOTIFY_SOCKET", manager.name().c_str(), 1); });
  const auto facts = scene.facts();
  ::kill(monitor, SIGSTOP);
  ::kill(std::stoi(facts.at("pid")), SIGUSR1);
  scene.expect("sent");
  ::kill(monitor, SIGCONT);
  std::string text;
  while (text != "STATUS=after" && text != "nothing") text = manager.await().text;
  BOOST_TEST(text == "STATUS=after");
  stop();
}

BOOST_FIXTURE_TEST_CASE(a_worker_that_never_stops_talking_is_stopped, Stage) {
  for (const bool has_manager : {false, true}) {
    const scene::Listener manager(scene.path(has_manager ? "manager" : "none"));  // reads nothing
    BOOST_REQUIRE(
        run({"user=nobody", "detach=always", "pidfile=" + pidfile, "respawn=stop:100", "flood_monitor"}, [&] {
          if (has_manager) ::setenv("NOTIFY_SOCKET", manager.name().c_str(), 1);
        }).end.exited(0));
    scene.expect("floods");
    monitor = scene::pid_in(pidfile);
    ::kill(monitor, SIGTERM);
    BOOST_TEST(scene::await_end(monitor).exited(137));
  }
}

BOOST_FIXTURE_TEST_CASE(a_worker_that_can_not_tell_its_monitor_is_told, Stage) {
  start({"lose_monitor", "on_reload:say"});
  const std::string line = "cannot tell the monitor: Broken pipe";
  BOOST_TEST(scene::eventually([&] { return scene::contents(log).find(line) != std::string::npos; }),
             scene::contents(log));
  ::kill(monitor, SIGTERM);
  scene::await_end(monitor);
}

BOOST_FIXTURE_TEST_CASE(descriptors_that_the_worker_sends_are_closed, Stage) {
  start({"say:before", "send_descriptors:500", "say:sent"});
  scene.expect("before");
  scene.expect("sent");
  std::string fds;
  BOOST_TEST(scene::eventually([&] {
               fds = scene::descriptors_of(monitor);
               return std::count(fds.begin(), fds.end(), ' ') < 20;
             }),
             fds);
  expect_refusal_to_name_monitor();
  stop();
}

BOOST_FIXTURE_TEST_CASE(the_worker_gets_only_the_logs_of_the_monitors_files, Stage) {
  start({"ask_to_reopen"});
  scene.expect("reopened: error done");  // the worker's output is the null device
  stop();
}

BOOST_FIXTURE_TEST_CASE(the_pidfile_under_the_name_of_the_log_is_not_opened, Stage) {
  const std::string folder = scene.path("own");
  ::mkdir(folder.c_str(), 0755);
  BOOST_REQUIRE(::chown(folder.c_str(), scene::nobody, scene::nobody) == 0);
  pidfile = folder + "/pid";
  log = folder + "/log";
  const std::string kept = folder + "/kept";
  const auto result = run({"user=nobody", "pidfile=" + pidfile, "err=" + log, "respawn=first:1",
                           "rename:" + log + ',' + kept, "rename:" + pidfile + ',' + log, "ask_to_reopen",
                           "rename:" + log + ',' + pidfile, "ask_to_reopen", "wait"});
  BOOST_REQUIRE(result.end.exited(0));
  for (int n = 0; n < 2; ++n) scene.expect("rename: done");
  scene.expect("reopened: cannot use the file \"" + log + "\": it is the pidfile");
  scene.expect("rename: done");
  scene.expect("reopened: error done");
  monitor = scene::pid_in(pidfile);
  expect_refusal_to_name_monitor();
  stop();
}

BOOST_FIXTURE_TEST_CASE(a_worker_that_outlives_its_monitor_keeps_the_next_start_waiting, Stage) {
  if (scene::argument(3) == "fallbacks") return;  // this build has no F_OFD_SETLK
  struct flock lock {};
  lock.l_start = 3;
  lock.l_len = 1;
  start({});
  {
    const scene::Received file(::open(pidfile.c_str(), O_RDONLY | O_CLOEXEC));
    lock.l_type = F_WRLCK;
    BOOST_TEST(::fcntl(file.get(), F_GETLK, &lock) == 0);
    BOOST_TEST(lock.l_type == F_RDLCK);
  }
  stop();
  // The test itself holds the read lock of such a worker.
  scene::write_file(pidfile, "");
  auto held = scene::Received(::open(pidfile.c_str(), O_RDONLY | O_CLOEXEC));
  lock = {};
  lock.l_type = F_RDLCK;
  lock.l_start = 3;
  lock.l_len = 1;
  BOOST_REQUIRE(::fcntl(held.get(), F_OFD_SETLK, &lock) == 0);
  rejects({"pidfile=" + pidfile},
          "cannot lock the pidfile \"" + pidfile + "\": some process holds a read lock on it");
  auto next = begin({"daemon", "pidfile=" + pidfile, "lock_timeout=60000", "on_wait=yes", "say:up", "wait"});
  scene.expect("waiting");
  held = scene::Received();
  BOOST_TEST(next.finish().end.exited(0));
  std::string line = scene.next();
  while (line == "waiting") line = scene.next();
  BOOST_TEST(line == "up");
  scene::Stage::stop(scene::pid_in(pidfile));
}
