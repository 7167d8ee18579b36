// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE lifetime
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <boost/test/unit_test.hpp>

#include "scene.hpp"

using scene::Scene;

namespace {

// A daemon with a pidfile, a log and two cleanups. `actions` then end it in one of the possible ways.
struct EndingDaemon {
  Scene scene;
  std::string pidfile = scene.path("pid");
  std::string log = scene.path("log");
  pid_t pid = 0;

  explicit EndingDaemon(const scene::Words& actions, const scene::Words& options = {}) {
    scene::Words words = {"daemon", "pidfile=" + pidfile, "err=" + log, "out=" + log};
    words.insert(words.end(), options.begin(), options.end());
    words.insert(words.end(), {"cleanup:first", "cleanup:second", "facts"});
    words.insert(words.end(), actions.begin(), actions.end());
    BOOST_TEST(scene.run_probe(words).end.exited(0));
    pid = std::stoi(scene.facts().at("pid"));
  }

  // Both cleanups have run once, the last registered first, and no pidfile is left.
  scene::End check_end() {
    const scene::End end = scene::await_end(pid);
    scene.expect("cleanup second");
    scene.expect("cleanup first");
    BOOST_TEST(!scene.has_line());
    BOOST_TEST(!scene::exists(pidfile));
    return end;
  }

  std::string logged() const { return scene::contents(log); }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(cleanups_run_once_last_first)

BOOST_AUTO_TEST_CASE(at_the_end_of_the_scope) { BOOST_TEST(EndingDaemon({}).check_end().exited(0)); }

BOOST_AUTO_TEST_CASE(when_an_exception_leaves_the_scope) {
  EndingDaemon daemon({"throw:broken"});
  BOOST_TEST(daemon.check_end().exited(2));
  BOOST_TEST(daemon.logged() == "broken\n");
}

BOOST_AUTO_TEST_CASE(on_exit) { BOOST_TEST(EndingDaemon({"exit:5"}).check_end().exited(5)); }

BOOST_AUTO_TEST_CASE(on_an_uncaught_exception) {
  EndingDaemon daemon({"uncaught:broken"});
  BOOST_TEST(daemon.check_end().killed_by(SIGABRT));
  BOOST_TEST(daemon.logged() == "daemon_probe: uncaught exception: broken\n");
}

BOOST_AUTO_TEST_CASE(on_a_termination_signal) {
  EndingDaemon daemon({"wait"});
  ::kill(daemon.pid, SIGTERM);
  daemon.scene.expect("stop");
  BOOST_TEST(daemon.check_end().exited(0));
}

BOOST_AUTO_TEST_CASE(on_a_thousand_termination_signals) {
  EndingDaemon daemon({"wait"});
  for (int n = 0; n < 1000; ++n) ::kill(daemon.pid, SIGTERM);
  daemon.scene.expect("stop");
  const auto end = daemon.check_end();
  // After the scope SIGTERM has its former disposition again, so a late one may kill the process.
  BOOST_TEST((end.exited(0) || end.killed_by(SIGTERM)), end);
}

BOOST_AUTO_TEST_CASE(on_a_thousand_termination_signals_among_the_cleanups) {
  EndingDaemon daemon({"cleanup_signals:1000", "wait"});
  ::kill(daemon.pid, SIGTERM);
  daemon.scene.expect("stop");
  BOOST_TEST(daemon.check_end().exited(0));
}

BOOST_AUTO_TEST_CASE(when_one_of_them_calls_exit) {
  EndingDaemon daemon({"cleanup_exit:6"});
  BOOST_TEST(daemon.check_end().exited(6));
}

BOOST_AUTO_TEST_CASE(when_one_of_them_throws) {
  EndingDaemon daemon({"cleanup_throw:first trouble", "cleanup_throw:second trouble"});
  BOOST_TEST(daemon.check_end().exited(0));
  BOOST_TEST(daemon.logged() ==
             "daemon_probe: cleanup: second trouble\ndaemon_probe: cleanup: first trouble\n");
}

BOOST_AUTO_TEST_CASE(when_one_of_them_throws_and_nobody_reads_the_report) {
  std::array<int, 2> ends{};
  BOOST_REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
  Scene scene;
  const std::string pidfile = scene.path("pid");
  auto daemon = scene.start_probe({"daemon", "detach=never", "pidfile=" + pidfile, "cleanup:done",
                                   "cleanup_throw:trouble", "say:on", "wait"},
                                  [&] { ::dup2(ends[1], STDERR_FILENO); });
  ::close(ends[0]);
  ::close(ends[1]);
  scene.expect("on");
  ::kill(daemon.pid(), SIGTERM);
  scene.expect("stop");
  scene.expect("cleanup done");
  BOOST_TEST(daemon.finish().end.exited(0));
  BOOST_TEST(!scene::exists(pidfile));
}

BOOST_AUTO_TEST_CASE(on_exit_from_a_signal_action_on_the_librarys_thread) {
  EndingDaemon daemon({"hang"}, {"delivery=thread", "signal=10:exit"});
  ::kill(daemon.pid, SIGUSR1);
  BOOST_TEST(daemon.check_end().exited(7));
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_CASE(an_uncaught_exception_on_another_thread_removes_only_the_pidfile) {
  EndingDaemon daemon({"uncaught_on_thread:broken"});
  BOOST_TEST(scene::await_end(daemon.pid).killed_by(SIGABRT));
  BOOST_TEST(!scene::exists(daemon.pidfile));
  BOOST_TEST(!daemon.scene.has_line());
  BOOST_TEST(daemon.logged() == "daemon_probe: uncaught exception: broken\n");
}

BOOST_AUTO_TEST_CASE(a_forked_child_runs_no_cleanup_and_keeps_the_pidfile) {
  for (const std::string way : {"fork:exit", "fork:return"}) {
    Scene scene;
    const std::string pidfile = scene.path("pid");
    scene.run_probe({"daemon", "pidfile=" + pidfile, "facts", "cleanup:done", way, "say:parent", "wait"});
    const auto facts = scene.facts();
    const std::string worker = scene.next();
    BOOST_TEST(worker.find(pidfile) == std::string::npos, worker);  // the child has no such descriptor
    scene.expect("worker ended 3");
    scene.expect("parent");
    BOOST_TEST(scene::exists(pidfile));
    ::kill(std::stoi(facts.at("pid")), SIGTERM);
    scene.expect("stop");
    scene.expect("cleanup done");
    BOOST_TEST(scene::await_end(std::stoi(facts.at("pid"))).exited(0));
  }
}

BOOST_AUTO_TEST_CASE(a_forked_child_is_inert) {
  Scene scene;
  const std::string pidfile = scene.path("pid");
  scene.run_probe({"daemon", "pidfile=" + pidfile, "err=" + scene.path("log"), "facts", "cleanup:done",
                   "fork:use", "wait"});
  const auto facts = scene.facts();
  scene.next();
  scene.expect("waited, stopped: 0");
  scene.expect("ran: 0");
  scene.expect("worker ended 4");
  BOOST_TEST(scene::contents(scene.path("log")).empty());
  ::kill(std::stoi(facts.at("pid")), SIGTERM);
  scene.expect("stop");
  scene.expect("cleanup done");
}

BOOST_AUTO_TEST_CASE(an_uncaught_exception_in_a_forked_child_ends_only_the_child) {
  for (const std::string way : {"fork:throw", "fork:own_context"}) {
    Scene scene;
    const std::string pidfile = scene.path("pid");
    scene.run_probe(
        {"daemon", "pidfile=" + pidfile, "err=" + scene.path("log"), "facts", "cleanup:done", way, "wait"});
    const auto facts = scene.facts();
    scene.next();
    scene.expect("worker killed by " + std::to_string(SIGABRT));
    BOOST_TEST(scene::contents(scene.path("log")).find("broken worker") != std::string::npos);
    BOOST_TEST(scene::pid_in(pidfile) == std::stoi(facts.at("pid")));
    BOOST_TEST(!scene.has_line());
    ::kill(std::stoi(facts.at("pid")), SIGTERM);
    scene.expect("stop");
    scene.expect("cleanup done");
  }
}

BOOST_AUTO_TEST_CASE(a_context_may_follow_another_in_one_process) {
  Scene scene;
  const auto result = scene.run_probe({"daemon", "detach=never", "pidfile=" + scene.path("pid"),
                                       "cleanup:first", "say:one", "again", "facts", "cleanup:second"});
  BOOST_TEST(result.end.exited(0));
  scene.expect("one");
  scene.expect("cleanup first");
  BOOST_TEST(scene.facts().at("mode") == "foreground");
  scene.expect("cleanup second");
  BOOST_TEST(!scene::exists(scene.path("pid")));
}

BOOST_AUTO_TEST_CASE(a_forked_worker_dies_of_a_signal_that_the_daemon_handles) {
  Scene scene;
  const std::string pidfile = scene.path("pid");
  scene.run_probe({"daemon", "pidfile=" + pidfile, "facts", "cleanup:done", "fork:wait", "wait"});
  const auto facts = scene.facts();
  const pid_t daemon = std::stoi(facts.at("pid"));
  const pid_t worker = std::stoi(scene.next().substr(7));
  ::kill(worker, SIGTERM);
  // The daemon does not reap its child, so a child that a signal has killed stays a zombie.
  BOOST_TEST(scene::eventually([&] {
    return scene::contents("/proc/" + std::to_string(worker) + "/stat").find(") Z ") != std::string::npos;
  }));
  BOOST_TEST(scene::pid_in(pidfile) == daemon);
  BOOST_TEST(!scene.has_line());
  ::kill(daemon, SIGTERM);
  scene.expect("stop");
  scene.expect("cleanup done");
}

BOOST_AUTO_TEST_CASE(a_hanging_cleanup_is_given_up) {
  Scene scene;
  const std::string pidfile = scene.path("pid");
  scene.run_probe({"daemon", "pidfile=" + pidfile, "err=" + scene.path("log"), "cleanup_timeout=100", "facts",
                   "cleanup:never", "cleanup_hang", "cleanup:before"});
  const auto facts = scene.facts();
  scene.expect("cleanup before");
  BOOST_TEST(scene::await_end(std::stoi(facts.at("pid"))).exited(1));
  BOOST_TEST(!scene::exists(pidfile));
  BOOST_TEST(!scene.has_line());
  BOOST_TEST(scene::contents(scene.path("log")) ==
             "daemon_probe: cleanup: did not end within 100 ms, given up\n");
}

BOOST_AUTO_TEST_CASE(each_cleanup_has_the_whole_time_also_after_one_that_calls_exit) {
  Scene scene;
  scene.run_probe({"daemon", "cleanup_timeout=400", "facts", "cleanup_slow:250", "cleanup_slow:250",
                   "cleanup_exit:6", "cleanup_slow:250"});
  const pid_t daemon = std::stoi(scene.facts().at("pid"));
  for (int n = 0; n < 3; ++n) scene.expect("slow cleanup");
  BOOST_TEST(scene::await_end(daemon).exited(6));
}

BOOST_AUTO_TEST_CASE(the_next_start_takes_over_the_pidfile_of_a_killed_daemon) {
  Scene scene;
  const std::string pidfile = scene.path("pid");
  scene.run_probe({"daemon", "pidfile=" + pidfile, "facts", "wait"});
  const pid_t first = std::stoi(scene.facts().at("pid"));
  ::kill(first, SIGKILL);
  scene::await_end(first);
  BOOST_TEST(scene::pid_in(pidfile) == first);  // the killed daemon could not remove the pidfile
  BOOST_TEST(scene.run_probe({"daemon", "pidfile=" + pidfile, "facts", "wait"}).end.exited(0));
  BOOST_TEST(scene::pid_in(pidfile) == std::stoi(scene.facts().at("pid")));
}

BOOST_AUTO_TEST_CASE(a_pidfile_that_was_replaced_stays) {
  Scene scene;
  const std::string pidfile = scene.path("pid");
  scene.run_probe({"daemon", "pidfile=" + pidfile, "facts", "wait"});
  const pid_t daemon = std::stoi(scene.facts().at("pid"));
  ::unlink(pidfile.c_str());
  scene::write_file(pidfile, "somebody else's\n");
  ::kill(daemon, SIGTERM);
  BOOST_TEST(scene::await_end(daemon).exited(0));
  BOOST_TEST(scene::contents(pidfile) == "somebody else's\n");
}

BOOST_AUTO_TEST_SUITE(a_scoped_cleanup)

BOOST_AUTO_TEST_CASE(runs_at_the_end_of_its_scope) {
  EndingDaemon daemon({"scoped:mine"});
  for (const std::string line : {"inside", "cleanup mine", "outside"}) daemon.scene.expect(line);
  BOOST_TEST(daemon.check_end().exited(0));
}

BOOST_AUTO_TEST_CASE(runs_when_another_takes_its_place) {
  EndingDaemon daemon({"scoped_moved:one"});
  for (const std::string line : {"first one", "moved", "second one"}) daemon.scene.expect(line);
  BOOST_TEST(daemon.check_end().exited(0));
}

BOOST_AUTO_TEST_CASE(does_not_run_if_it_was_released) {
  EndingDaemon daemon({"scoped_release:mine"});
  daemon.scene.expect("released");
  BOOST_TEST(daemon.check_end().exited(0));
}

BOOST_AUTO_TEST_CASE(runs_before_the_others_on_exit_with_what_it_refers_to) {
  EndingDaemon daemon({"scoped_exit:still there"});
  daemon.scene.expect("cleanup still there");
  BOOST_TEST(daemon.check_end().exited(3));
}

BOOST_AUTO_TEST_CASE(reports_what_it_throws_and_the_service_goes_on) {
  EndingDaemon daemon({"scoped_throw:trouble", "say:on"});
  daemon.scene.expect("on");
  BOOST_TEST(daemon.check_end().exited(0));
  BOOST_TEST(daemon.logged() == "daemon_probe: cleanup: trouble\n");
}

BOOST_AUTO_TEST_CASE(of_an_earlier_context_leaves_a_later_one_alone) {
  Scene scene;
  const auto ended = scene.run_probe(
      {"daemon", "detach=never", "keep_scoped:one", "say:first", "again", "keep_scoped:two", "say:second"});
  BOOST_TEST(ended.end.exited(0));
  for (const std::string line : {"first", "kept one", "second", "kept two"}) scene.expect(line);
  BOOST_TEST(!scene.has_line());
}

BOOST_AUTO_TEST_CASE(is_not_waited_for_when_it_has_run) {
  EndingDaemon daemon({"scoped_pool"});
  daemon.scene.expect("connection closed");
  daemon.scene.expect("pool joined");
  BOOST_TEST(daemon.check_end().exited(0));
  BOOST_TEST(daemon.logged() == "");
}

BOOST_AUTO_TEST_CASE(is_waited_for_while_another_thread_runs_it) {
  EndingDaemon daemon({"scoped_race"});
  daemon.scene.expect("cleanup: there");
  BOOST_TEST(daemon.check_end().exited(5));
}

BOOST_AUTO_TEST_SUITE_END()
