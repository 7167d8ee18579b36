// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE respawn

// Services that crash, hang and are stopped, under a monitor.

#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <daemonctx/controller.hpp>
#include <fstream>
#include <random>
#include <sstream>
#include <thread>

#include "listener.hpp"
#include "scene.hpp"

using daemonctx::Controller;
using scene::Scene;
using namespace std::chrono_literals;

namespace {

struct Worker {
  unsigned worker_number = 0;
  pid_t pid = 0;
  pid_t monitor = 0;
  std::string last = {};
};

struct Stage {
  Scene scene;
  std::string pidfile = scene.path("pid");
  std::string log = scene.path("log");

  scene::Words words(const std::string& policy, const scene::Words& actions) const {
    scene::Words all = {"daemon", "pidfile=" + pidfile, "out=" + log, "err=" + log, "respawn=" + policy};
    all.insert(all.end(), actions.begin(), actions.end());
    return all;
  }
  // Starts a detached daemon. Its first worker is the first that next_worker() returns.
  void start(const std::string& policy, const scene::Words& actions) {
    const auto result = scene.run_probe(words(policy, actions));
    BOOST_TEST(result.err == "");
    BOOST_REQUIRE(result.end.exited(0));
    monitor = scene::pid_in(pidfile);
    BOOST_REQUIRE(monitor > 0);
  }
  scene::Result run_in_foreground(const std::string& policy, const scene::Words& actions) {
    auto all = words(policy, actions);
    all.insert(all.begin() + 1, "detach=never");
    return scene.run_probe(all);
  }
  // The worker that the next line of the action "tell_worker" names.
  Worker next_worker() {
    std::istringstream line(scene.next());
    Worker found;
    std::string word;
    line >> word >> found.worker_number >> word >> found.pid >> word >> found.monitor >> word >> std::ws;
    std::getline(line, found.last);
    return found;
  }
  scene::End stop() const {
    ::kill(monitor, SIGTERM);
    return scene::await_end(monitor);
  }
  bool logs(const std::string& text) const {
    return scene::eventually([&] { return scene::contents(log).find(text) != std::string::npos; });
  }

  pid_t monitor = 0;
};

std::string status_of(pid_t pid) { return scene::contents("/proc/" + std::to_string(pid) + "/status"); }

// It has taken every signal, and waits for something else.
bool sleeps_without_signals(pid_t pid) {
  const std::string status = status_of(pid);
  return status.find("ShdPnd:\t0000000000000000") != std::string::npos &&
         status.find("State:\tS") != std::string::npos;
}

// Works also for a pid that is not a child of the test.
bool is_gone(pid_t pid) {
  return scene::eventually([&] {
    const std::string stat = scene::contents("/proc/" + std::to_string(pid) + "/stat");
    return stat.empty() || stat.find(") Z ") != std::string::npos;
  });
}

}  // namespace

// ---- The start.

BOOST_FIXTURE_TEST_CASE(the_monitor_keeps_the_pidfile_and_the_worker_works, Stage) {
  start("first:10", {"tell_worker", "facts", "wait"});
  const Worker first = next_worker();
  const auto facts = scene.facts();
  BOOST_TEST(first.worker_number == 1U);
  BOOST_TEST(first.monitor == monitor);
  BOOST_TEST(first.last == "none");
  BOOST_TEST(facts.at("pid") == std::to_string(first.pid));
  BOOST_TEST(facts.at("threads") == "1");
  BOOST_TEST(facts.at("mode") == "detached");
  const auto status = Controller(pidfile).status();
  BOOST_TEST((status.state == daemonctx::DaemonState::running));
  BOOST_TEST(status.pid == monitor);
  BOOST_REQUIRE(status.worker.has_value());
  BOOST_TEST(status.worker->worker_number == 1U);
  BOOST_TEST(status.worker->since.has_value());
  BOOST_TEST(!status.worker->last_worker_end);
  BOOST_TEST(stop().exited(0));
  scene.expect("stop");
  BOOST_TEST(!scene::exists(pidfile));
  BOOST_TEST(is_gone(first.pid));
}

BOOST_FIXTURE_TEST_CASE(a_failure_in_the_first_worker_is_thrown_in_the_caller, Stage) {
  for (const char* mode : {"detach=always", "detach=never"}) {
    const auto fails = [&](const scene::Words& how) {
      scene::Words all = {"daemon", mode, "pidfile=" + pidfile, "respawn=first:10"};
      all.insert(all.end(), how.begin(), how.end());
      const auto result = scene.run_probe(all);
      BOOST_TEST(result.end.exited(1));
      BOOST_TEST(!scene::exists(pidfile));
      return result.err.substr(result.err.find('\n') + 1);
    };
    BOOST_TEST(fails({"cwd=/none"}) ==
               "cannot change the working directory to \"/none\": No such file or directory\n");
    BOOST_TEST(fails({"readiness=", "fail:no key"}) == "no key\n");
    BOOST_TEST(fails({"readiness=", "raise:9"}) == "the daemon was killed by SIGKILL before it was ready\n");
    BOOST_TEST(fails({"readiness=", "_exit:3"}) == "the daemon exited with code 3 before it was ready\n");
  }
}

BOOST_FIXTURE_TEST_CASE(a_policy_that_makes_no_sense_starts_nothing, Stage) {
  const auto result = scene.run_probe(words("window:100", {"say:started"}));
  BOOST_TEST(result.end.exited(2));
  BOOST_TEST(result.err.rfind("respawn_policy: it could never give up: ", 0) == 0U);
  BOOST_TEST(!scene::exists(pidfile));
}

BOOST_FIXTURE_TEST_CASE(in_the_foreground_the_process_itself_is_the_monitor, Stage) {
  auto all = words("first:10", {"tell_worker", "wait"});
  all.insert(all.begin() + 1, "detach=never");
  auto service = scene.start_probe(all);
  const Worker first = next_worker();
  BOOST_TEST(first.monitor == service.pid());
  ::kill(first.pid, SIGKILL);
  const Worker second = next_worker();
  BOOST_TEST(second.worker_number == 2U);
  BOOST_TEST(second.monitor == service.pid());
  ::kill(service.pid(), SIGINT);
  BOOST_TEST(service.finish().end.exited(0));
  BOOST_TEST(!scene::exists(pidfile));
}

BOOST_FIXTURE_TEST_CASE(a_start_whose_caller_is_gone_is_cut_off, Stage) {
  BOOST_REQUIRE(::mkfifo(scene.path("fifo").c_str(), 0600) == 0);
  auto caller = scene.start_probe(
      words("first:1", {"readiness=", "tell_worker", "await:" + scene.path("fifo"), "ready", "wait"}));
  const Worker first = next_worker();
  ::kill(caller.pid(), SIGKILL);
  BOOST_TEST(scene::await_end(caller.pid()).killed_by(SIGKILL));
  ::close(::open(scene.path("fifo").c_str(), O_WRONLY | O_CLOEXEC));
  BOOST_TEST(is_gone(first.monitor));
  BOOST_TEST(!scene.has_line());
  BOOST_TEST(!scene::exists(pidfile));
}

BOOST_FIXTURE_TEST_CASE(a_first_worker_that_is_not_ready_in_time_is_a_failure, Stage) {
  for (const char* mode : {"detach=always", "detach=never"}) {
    const auto result =
        scene.run_probe({"daemon", mode, "respawn=first:1", "ready_timeout=100", "readiness=", "hang"});
    BOOST_TEST(result.end.exited(1));
    BOOST_TEST(result.err.find("the daemon was not ready within 100 ms\n") != std::string::npos, result.err);
  }
}

// ---- Crashes.

BOOST_FIXTURE_TEST_CASE(each_worker_begins_with_the_memory_of_before_the_context, Stage) {
  start("first:10", {"tell_worker", "count", "until:4,crash:10", "wait"});
  for (unsigned worker_number = 1; worker_number <= 4; ++worker_number) {
    BOOST_TEST(next_worker().worker_number == worker_number);
    scene.expect("counted 1");
  }
  BOOST_TEST(stop().exited(0));
}

BOOST_FIXTURE_TEST_CASE(the_next_worker_gets_what_an_earlier_one_has_kept_last, Stage) {
  start("first:10,most:9",
        {"remembered", "until:2,remember:one", "until:3,remember:two", "until:4,raise:9", "wait"});
  scene.expect("remembers nothing");
  for (int worker = 2; worker <= 4; ++worker) scene.expect("remembers two");
  BOOST_TEST(stop().exited(0));
}

BOOST_FIXTURE_TEST_CASE(four_mebibytes_can_be_kept_and_no_more, Stage) {
  start("first:10", {"remembered", "until:2,remember:4194304", "until:2,remember:4194305", "wait"});
  scene.expect("remembers nothing");
  BOOST_TEST(logs("the bytes to keep are more than 4 MiB"), scene::contents(log));
  scene.expect("remembers 4194304 bytes");
  BOOST_TEST(stop().exited(0));
}

// The worker must not wait for an answer that can't come.
BOOST_FIXTURE_TEST_CASE(a_monitor_without_descriptors_says_so, Stage) {
  BOOST_REQUIRE(::mkfifo(scene.path("fifo").c_str(), 0600) == 0);
  BOOST_REQUIRE(::mkfifo(scene.path("end").c_str(), 0600) == 0);
  start("first:10", {"tell_worker", "until:2,cleanup_await:" + scene.path("end"),
                     "await:" + scene.path("fifo"), "until:2,remember:one", "wait"});
  next_worker();
  rlimit limit{};
  ::prlimit(monitor, RLIMIT_NOFILE, nullptr, &limit);
  const rlimit none{3, limit.rlim_max};
  ::prlimit(monitor, RLIMIT_NOFILE, &none, nullptr);
  ::close(::open(scene.path("fifo").c_str(), O_WRONLY | O_CLOEXEC));
  scene.expect("waits");
  ::prlimit(monitor, RLIMIT_NOFILE, &limit, nullptr);  // for the next worker, before this one ends
  ::close(::open(scene.path("end").c_str(), O_WRONLY | O_CLOEXEC));
  BOOST_TEST(next_worker().worker_number == 2U);
  BOOST_TEST(logs("there is no descriptor left"), scene::contents(log));
  ::close(::open(scene.path("fifo").c_str(), O_WRONLY | O_CLOEXEC));
  BOOST_TEST(stop().exited(0));
}

BOOST_FIXTURE_TEST_CASE(without_a_monitor_nothing_is_kept, Stage) {
  const auto result = scene.run_probe({"daemon", "detach=never", "remember:one", "remembered"});
  BOOST_TEST(result.end.exited(0));
  scene.expect("remembers nothing");
}

BOOST_FIXTURE_TEST_CASE(the_monitor_opens_the_files_that_the_program_has_named, Stage) {
  if (::geteuid() != 0) return;
  const auto [secret, other] = std::pair(scene.path("secret"), scene.path("other"));
  for (const std::string& each : {secret, other}) {
    scene::write_file(each, "the key");
    ::chmod(each.c_str(), 0600);
  }
  const auto run = [&](const std::string& policy, const std::string& file, const std::string& said) {
    const auto result =
        scene.run_probe({"daemon", "detach=never", "user=nobody", "respawn=" + policy, "open_file:" + file});
    BOOST_TEST(result.end.exited(0), result.err);
    scene.expect(said);
  };
  const std::string opens = "first:10,opens:" + secret;
  ::chmod(scene.folder().c_str(), 0755);
  ::chmod(scene.path("channel").c_str(), 0666);
  run(opens, secret, "opened: the key");
  run(opens, other, "not opened: Permission denied");
  run("first:10", secret, "not opened: Permission denied");
  run("first:10,opens:" + scene.path("none"), scene.path("none"), "not opened: No such file or directory");
  ::mkdir(scene.path("closed").c_str(), 0700);
  run("first:10,opens:" + scene.path("closed"), scene.path("closed"), "not opened: Is a directory");
  ::unlink(other.c_str());
  ::chmod(scene.folder().c_str(), 0777);  // others could put a link to a secret there
  run(opens, secret, "not opened: Operation not permitted");
  ::chmod(scene.folder().c_str(), 0755);
  ::mkdir(scene.path("open").c_str(), 0777);
  ::chmod(scene.path("open").c_str(), 0777);  // others could put another directory in place of "mine"
  ::mkdir(scene.path("open/mine").c_str(), 0755);
  scene::write_file(scene.path("open/mine/secret"), "the key");
  ::chmod(scene.path("open/mine/secret").c_str(), 0600);
  run("first:10,opens:" + scene.path("open/mine/secret"), scene.path("open/mine/secret"),
      "not opened: Operation not permitted");
  BOOST_REQUIRE(::symlink(secret.c_str(), other.c_str()) == 0);
  BOOST_REQUIRE(::lchown(other.c_str(), 65534, 65534) == 0);
  run("first:10,opens:" + other, other, "not opened: Too many levels of symbolic links");
  const auto relative = scene.run_probe({"daemon", "respawn=opens:secret"});
  BOOST_TEST(relative.end.exited(2));
  BOOST_TEST(relative.err == "respawn_policy: monitor_opens: \"secret\" is no absolute path\n");
}

BOOST_FIXTURE_TEST_CASE(the_end_of_a_worker_is_told_to_the_next_and_logged, Stage) {
  const auto ends = [&](const std::string& how, const std::string& told) {
    start("first:10,window:100000", {"tell_worker", "until:2," + how, "wait"});
    next_worker();
    const Worker second = next_worker();
    BOOST_TEST(second.last.substr(0, second.last.find(" after ")) == told);
    BOOST_TEST(logs("(number 1) " + told + " after "));
    BOOST_TEST(stop().exited(0));
    scene.expect("stop");
    const std::string text = scene::contents(log);
    BOOST_TEST(text.find("monitor: ") == text.rfind("monitor: "));  // one line
    ::unlink(log.c_str());
  };
  ends("_exit:3", "exited with code 3");
  ends("raise:9", "was killed by SIGKILL");
  ends("uncaught:no more", "was killed by SIGABRT");
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  ends("crash:10", "was killed by SIGSEGV at address 0x10");
  ends("raise:11", "was killed by SIGSEGV");  // sent by a process, so without an address
  start("first:10", {"tell_worker", "until:2,exhaust_stack", "wait"});
  next_worker();
  BOOST_TEST(next_worker().last.find("was killed by SIGSEGV at address 0x7") == 0U);
  BOOST_TEST(stop().exited(0));
#endif
}

BOOST_FIXTURE_TEST_CASE(a_killed_worker_is_respawned_fifty_times_and_the_pidfile_stays, Stage) {
  start("first:1,factor:1,most:100", {"tell_worker", "wait"});
  std::atomic<bool> ends = false;
  std::atomic<int> looks = 0;
  std::string seen;
  std::thread watcher([&] {
    while (!ends) {
      const auto status = Controller(pidfile).status();
      ++looks;
      if (status.state != daemonctx::DaemonState::running || status.pid != monitor || !status.worker)
        seen += to_string(status.state);
    }
  });
  for (unsigned worker_number = 1; worker_number <= 50; ++worker_number) {
    const Worker each = next_worker();
    BOOST_TEST(each.worker_number == worker_number);
    ::kill(each.pid, SIGKILL);
  }
  BOOST_TEST(next_worker().worker_number == 51U);
  ends = true;
  watcher.join();
  BOOST_TEST(seen == "");
  BOOST_TEST(looks > 50);
  daemonctx::DaemonStatus status;
  BOOST_TEST(scene::eventually([&] {  // a worker may report before the status shows it
    status = Controller(pidfile).status();
    return status.worker && status.worker->worker_number == 51 && status.worker->since;
  }));
  BOOST_REQUIRE(status.worker->last_worker_end.has_value());
  BOOST_TEST(status.worker->last_worker_end->signal == SIGKILL);
  BOOST_TEST(status.worker->last_worker_end->worker_number == 50U);
  BOOST_TEST(stop().exited(0));
}

BOOST_FIXTURE_TEST_CASE(a_crash_loop_ends_with_a_clear_line_and_the_last_exit_code, Stage) {
  const auto exited = run_in_foreground("first:1,most:3", {"tell_worker", "_exit:7"});
  BOOST_TEST(exited.end.exited(7));
  for (unsigned worker_number = 1; worker_number <= 4; ++worker_number)
    BOOST_TEST(next_worker().worker_number == worker_number);
  BOOST_TEST(!scene.has_line());
  const std::string text = scene::contents(log);
  const std::string last = text.substr(text.rfind('\n', text.size() - 2) + 1);
  BOOST_TEST(
      last.rfind(
          "daemon_probe: monitor: given up after 3 restarts within 10000 ms: the last worker exited with "
          "code 7 after 0.0 s",
          0) == 0U,
      last);
  BOOST_TEST(!scene::exists(pidfile));
  BOOST_TEST(run_in_foreground("first:1,most:1", {"raise:9"}).end.exited(128 + SIGKILL));
}

BOOST_FIXTURE_TEST_CASE(a_no_restart_exit_code_becomes_that_of_the_service, Stage) {
  BOOST_TEST(run_in_foreground("first:1", {"tell_worker"}).end.exited(0));
  BOOST_TEST(run_in_foreground("first:1,final:9", {"tell_worker", "_exit:9"}).end.exited(9));
  next_worker();
  next_worker();
  BOOST_TEST(!scene.has_line());
  BOOST_TEST(scene::contents(log).find("number 2") == std::string::npos);
}

BOOST_FIXTURE_TEST_CASE(an_immediate_restart_exit_code_causes_no_delay, Stage) {
  start("first:60000,longest:60000,immediate:4,window:1000000", {"tell_worker", "until:3,_exit:4", "wait"});
  for (unsigned worker_number = 1; worker_number <= 3; ++worker_number)
    BOOST_TEST(next_worker().worker_number == worker_number);
  BOOST_TEST(stop().exited(0));
}

BOOST_FIXTURE_TEST_CASE(on_worker_end_is_called_between_two_workers, Stage) {
  start("first:1,report:1", {"tell_worker", "until:2,_exit:1", "wait"});
  const std::string root = std::to_string(::getuid());
  next_worker();
  scene.expect("user " + root + " hears of worker 1");
  next_worker();
  BOOST_TEST(stop().exited(0));
  scene.expect("stop");
  scene.expect("user " + root + " hears of worker 2");
}

BOOST_FIXTURE_TEST_CASE(no_timeout_is_too_long, Stage) {
  const auto result =
      scene.run_probe({"daemon", "pidfile=" + pidfile, "respawn=first:1,stop:9223372036854775807",
                       "ready_timeout=9223372036854775807", "tell_worker", "wait"});
  BOOST_TEST(result.err == "");
  BOOST_REQUIRE(result.end.exited(0));
  monitor = next_worker().monitor;
  BOOST_TEST(stop().exited(0));
  scene.expect("stop");
}

BOOST_FIXTURE_TEST_CASE(a_later_worker_that_is_not_ready_in_time_is_replaced, Stage) {
  start("first:1", {"ready_timeout=200", "readiness=", "tell_worker", "until:2,ready", "until:2,_exit:1",
                    "until:3,hang", "ready", "wait"});
  next_worker();
  next_worker();
  const std::string last = next_worker().last;
  BOOST_TEST(last.find("was killed by SIGKILL after ") == 0U);
  BOOST_TEST(last.find(", before it was ready") != std::string::npos);
  BOOST_TEST(logs("which did not become ready in time"));
  BOOST_TEST(stop().exited(0));
}

BOOST_FIXTURE_TEST_CASE(the_reason_why_a_later_worker_can_not_start_is_logged, Stage) {
  const std::string folder = scene.path("folder");
  ::mkdir(folder.c_str(), 0755);
  start("first:1,most:1", {"cwd=" + folder, "tell_worker", "wait"});
  const Worker first = next_worker();
  ::rmdir(folder.c_str());
  ::kill(first.pid, SIGKILL);
  BOOST_TEST(scene::await_end(monitor).exited(1));
  BOOST_TEST(
      logs("worker: cannot change the working directory to \"" + folder + "\": No such file or directory\n"));
}

BOOST_FIXTURE_TEST_CASE(a_monitor_without_descriptors_tries_again, Stage) {
  start("first:100,factor:1,most:50", {"tell_worker", "wait"});
  const Worker first = next_worker();
  rlimit former{};
  BOOST_REQUIRE(::prlimit(monitor, RLIMIT_NOFILE, nullptr, &former) == 0);
  const rlimit none{3, former.rlim_max};
  BOOST_REQUIRE(::prlimit(monitor, RLIMIT_NOFILE, &none, nullptr) == 0);
  ::kill(first.pid, SIGKILL);
  BOOST_TEST(logs("monitor: cannot start the worker: "));
  ::prlimit(monitor, RLIMIT_NOFILE, &former, nullptr);
  BOOST_TEST(next_worker().worker_number >= 2U);
  BOOST_TEST(stop().exited(0));
}

BOOST_FIXTURE_TEST_CASE(a_child_that_on_worker_end_forks_is_no_second_monitor, Stage) {
  start("first:1,fork:1", {"tell_worker", "until:4,_exit:1", "wait"});
  for (unsigned worker_number = 1; worker_number <= 4; ++worker_number)
    BOOST_TEST(next_worker().worker_number == worker_number);
  BOOST_TEST(stop().exited(0));
  scene.expect("stop");
  BOOST_TEST(!scene.has_line());
}

// ---- The stop.

BOOST_FIXTURE_TEST_CASE(a_stop_in_the_middle_of_a_delay_ends_at_once, Stage) {
  start("first:60000,longest:60000,window:1000000", {"tell_worker", "_exit:5"});
  next_worker();
  BOOST_TEST(scene::eventually([&] {
    const auto status = Controller(pidfile).status();
    return status.worker && !status.worker->since;
  }));
  const auto begin = std::chrono::steady_clock::now();
  BOOST_TEST(stop().exited(5));
  BOOST_TEST((std::chrono::steady_clock::now() - begin < 10s));
  BOOST_TEST(!scene::exists(pidfile));
}

BOOST_FIXTURE_TEST_CASE(a_worker_that_does_not_stop_is_killed, Stage) {
  start("stop:100", {"tell_worker", "hang"});
  const Worker first = next_worker();
  BOOST_TEST(stop().exited(128 + SIGKILL));
  BOOST_TEST(is_gone(first.pid));
  BOOST_TEST(logs("which did not stop in time"));
  BOOST_TEST(!scene.has_line());
}

BOOST_FIXTURE_TEST_CASE(a_worker_that_takes_SIGTERM_for_itself_is_stopped_all_the_same, Stage) {
  start("first:1,stop:200", {"tell_worker", "until:2,map:15", "until:2,_exit:1", "hang"});
  next_worker();
  next_worker();
  BOOST_TEST(stop().exited(128 + SIGKILL));
  start("first:1,stop:200", {"map:15", "tell_worker", "hang"});
  next_worker();
  BOOST_TEST(stop().exited(128 + SIGKILL));
}

BOOST_FIXTURE_TEST_CASE(a_monitor_that_is_killed_leaves_no_worker, Stage) {
  const std::string user = ::getuid() == 0 ? "user=nobody" : "core=no";
  ::chmod(scene.folder().c_str(), 0755);
  ::chmod(scene.path("channel").c_str(), 0666);
  for (const std::string& option : {std::string("core=no"), user}) {
    start("first:10", {option, "tell_worker", "hang"});
    const Worker first = next_worker();
    ::kill(monitor, SIGKILL);
    BOOST_TEST(scene::await_end(monitor).killed_by(SIGKILL));
    BOOST_TEST(is_gone(first.pid));
  }
}

BOOST_FIXTURE_TEST_CASE(a_stop_at_any_moment_of_a_respawn_leaves_nothing, Stage) {
  std::minstd_rand chance(static_cast<unsigned>(::getpid()));
  const int rounds = scene::rounds(std::stoi(scene::argument(2)));
  for (int round = 0; round < rounds; ++round) {
    start("first:0,most:1000000", {"_exit:1"});
    std::this_thread::sleep_for(std::chrono::microseconds(chance() % 3000));
    const pid_t group = ::getpgid(monitor);
    const scene::End end = stop();
    BOOST_TEST((end.exited(1) || end.exited(0) || end.exited(128 + SIGTERM)), end);
    BOOST_TEST(::kill(-group, 0) == -1);  // nor is another process of its group left
    BOOST_TEST(!scene::exists(pidfile));
  }
}

// ---- Signals.

BOOST_FIXTURE_TEST_CASE(signals_are_forwarded_with_their_values, Stage) {
  start("first:1", {"signal=10:count", "tell_worker", "map:12", "say:mapped", "wait"});
  next_worker();
  scene.expect("mapped");
  sigval value{};
  value.sival_int = 42;
  ::sigqueue(monitor, SIGUSR1, value);
  BOOST_TEST(scene.next().rfind("signal 10 value 42 from " + std::to_string(monitor), 0) == 0U);
  ::kill(monitor, SIGUSR2);  // mapped by the worker alone
  scene.expect("mapped 12");
  BOOST_TEST(stop().exited(0));
}

BOOST_FIXTURE_TEST_CASE(a_signal_between_two_workers_waits_until_one_has_mapped_it, Stage) {
  start("first:500,factor:1", {"tell_worker", "until:2,on_reload:quiet", "until:2,say:offered",
                               "until:2,hang", "busy:50", "on_reload", "wait"});
  const Worker first = next_worker();
  scene.expect("offered");
  ::kill(first.pid, SIGKILL);
  BOOST_TEST(scene::eventually([&] {
    const auto status = Controller(pidfile).status();
    return status.worker && !status.worker->since;
  }));
  ::kill(monitor, SIGHUP);  // would end the next worker until that one maps SIGHUP
  BOOST_TEST(next_worker().worker_number == 2U);
  scene.expect("reloaded");
  BOOST_TEST(stop().exited(0));
}

BOOST_FIXTURE_TEST_CASE(a_reload_reaches_the_worker_and_its_outcome_the_controller, Stage) {
  start("first:1", {"tell_worker", "on_reload:throw", "say:offered", "wait"});
  next_worker();
  scene.expect("offered");
  std::error_code error;
  const auto refused = Controller(pidfile).reload(30s, error);
  BOOST_TEST((error == std::errc::invalid_argument));
  BOOST_TEST(refused.refusal == "broken configuration");
  BOOST_TEST(stop().exited(0));
}

BOOST_FIXTURE_TEST_CASE(a_reload_that_kills_the_worker_is_refused, Stage) {
  start("first:1", {"tell_worker", "on_reload", "until:2,reload_by_dying", "say:offered", "wait"});
  next_worker();
  scene.expect("offered");
  std::error_code error;
  BOOST_TEST(Controller(pidfile).reload(30s, error).refusal == "the worker ended meanwhile");
  next_worker();
  scene.expect("offered");
  BOOST_TEST(Controller(pidfile).reload(30s).refusal == "");
  scene.expect("reloaded");
  BOOST_TEST(stop().exited(0));
}

// The worker is told to reload while its monitor can't show that. Then the configuration changes, and a
// controller asks for a reload.
BOOST_FIXTURE_TEST_CASE(a_reload_that_began_before_the_request_is_not_its_outcome, Stage) {
  const std::string configuration = scene.path("configuration");
  std::ofstream(configuration) << "good";
  // Without a log: reopening that would wait for the monitor.
  BOOST_REQUIRE(scene
                    .run_probe({"daemon", "pidfile=" + pidfile, "respawn=first:1", "tell_worker",
                                "configuration:" + configuration, "say:offered", "wait"})
                    .end.exited(0));
  monitor = scene::pid_in(pidfile);
  const Worker first = next_worker();
  scene.expect("offered");
  ::kill(monitor, SIGSTOP);
  BOOST_TEST(scene::eventually([&] { return status_of(monitor).find("State:\tT") != std::string::npos; }));
  ::kill(first.pid, SIGHUP);
  BOOST_TEST(scene::eventually([&] { return sleeps_without_signals(first.pid); }));
  std::ofstream(configuration) << "hang";
  std::error_code error;
  Controller(pidfile).reload(1s, error);
  BOOST_TEST((error == std::errc::timed_out), error.message());
  scene.expect("hanging");
  std::ofstream(configuration) << "good";  // the next worker may get the request
  ::kill(first.pid, SIGKILL);
  next_worker();
  scene.expect("offered");
  BOOST_TEST(stop().exited(0));
}

BOOST_FIXTURE_TEST_CASE(a_reload_that_a_worker_did_not_begin_goes_to_the_next, Stage) {
  start("first:1", {"tell_worker", "on_reload", "until:2,block:1", "say:offered", "until:2,hang", "wait"});
  const Worker first = next_worker();
  scene.expect("offered");
  std::error_code error;
  std::string refusal = "none";
  std::jthread asker([&] { refusal = Controller(pidfile).reload(30s, error).refusal; });
  BOOST_TEST(scene::eventually([&] {  // SIGHUP is the first bit
    return status_of(first.pid).find("ShdPnd:\t0000000000000001") != std::string::npos;
  }));
  ::kill(first.pid, SIGKILL);
  const Worker second = next_worker();
  scene.expect("offered");
  scene.expect("reloaded");
  asker.join();
  BOOST_TEST(!error);
  BOOST_TEST(refusal == "");
  ::kill(second.pid, SIGKILL);  // the third worker gets no reload
  next_worker();
  scene.expect("offered");
  BOOST_TEST(stop().exited(0));
  scene.expect("stop");
}

// The first reload ends, but the worker is killed before it begins the second.
BOOST_FIXTURE_TEST_CASE(a_reload_requested_during_another_goes_to_the_next_worker, Stage) {
  const std::string fifo = scene.path("fifo");
  const auto go_on = [&] { ::close(::open(fifo.c_str(), O_WRONLY | O_CLOEXEC)); };
  BOOST_REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
  start("first:1", {"tell_worker", "on_reload:" + fifo, "say:offered", "wait"});
  const Worker first = next_worker();
  scene.expect("offered");
  ::kill(monitor, SIGHUP);
  scene.expect("waits");
  ::kill(monitor, SIGHUP);
  BOOST_TEST(scene::eventually([&] { return sleeps_without_signals(monitor); }));
  ::kill(monitor, SIGSTOP);
  BOOST_TEST(scene::eventually([&] { return status_of(monitor).find("State:\tT") != std::string::npos; }));
  go_on();
  scene.expect("reloaded");
  // The second reload waits for the monitor, which is to reopen the log.
  BOOST_TEST(scene::eventually([&] { return sleeps_without_signals(first.pid); }));
  ::kill(first.pid, SIGKILL);
  ::kill(monitor, SIGCONT);
  next_worker();
  scene.expect("offered");
  scene.expect("waits");
  go_on();
  scene.expect("reloaded");
  BOOST_TEST(stop().exited(0));
}

BOOST_FIXTURE_TEST_CASE(a_signal_that_was_handled_is_not_forwarded_again, Stage) {
  start("first:1", {"tell_worker", "on_reload", "map:1", "say:mine", "wait"});
  Worker current = next_worker();
  scene.expect("mine");
  ::kill(monitor, SIGHUP);
  scene.expect("mapped 1");
  for (int n = 0; n < 2; ++n) {
    ::kill(current.pid, SIGKILL);
    current = next_worker();
    scene.expect("mine");
  }
  BOOST_TEST(stop().exited(0));
  scene.expect("stop");
}

BOOST_FIXTURE_TEST_CASE(a_worker_does_not_wait_for_itself, Stage) {
  start("first:1", {"signal=10:count", "control_self:" + pidfile, "wait"});
  for (int n = 0; n < 3; ++n) scene.expect("I am running");
  scene.expect("it is another");  // the monitor
  for (const std::string task : {"stop", "reload"}) {
    scene.expect("cannot " + task + " the daemon of \"" + pidfile + "\": it can't wait for itself");
  }
  BOOST_TEST(scene.next().find("signal 10") == 0U);
  BOOST_TEST(stop().exited(0));
}

// ---- A locale.

BOOST_FIXTURE_TEST_CASE(a_worker_and_its_monitor_understand_each_other_in_every_locale, Stage) {
  scene::Words all = words("first:1", {"tell_worker", "on_reload", "until:2,_exit:123", "wait"});
  all.insert(all.begin(), "group_digits");
  BOOST_TEST(scene.run_probe(all).end.exited(0));
  monitor = scene::pid_in(pidfile);
  next_worker();
  const std::string last = next_worker().last;
  BOOST_TEST(last.find("exited with code 123 after 0.") == 0U, last);
  for (int reload = 1; reload <= 12; ++reload) {
    BOOST_TEST(Controller(pidfile).reload(30s).refusal == "");
    scene.expect("reloaded");
  }
  BOOST_TEST(stop().exited(0));
  scene.expect("stop");
}

// ---- Hangs.

// Without SIGCONT it would get SIGKILL two seconds later, and leave no core file.
BOOST_FIXTURE_TEST_CASE(a_suspended_worker_that_hangs_is_aborted_too, Stage) {
  start("first:1,hang:1000", {"tell_worker", "wait"});
  ::kill(next_worker().pid, SIGSTOP);
  BOOST_TEST(next_worker().last.find("hung, and was killed by SIGABRT after ") == 0U);
  BOOST_TEST(stop().exited(0));
}

BOOST_FIXTURE_TEST_CASE(a_worker_that_hangs_is_aborted_and_replaced, Stage) {
  start("first:1,hang:1000", {"tell_worker", "until:2,hang", "wait_for:1500", "say:well", "wait"});
  next_worker();
  BOOST_TEST(next_worker().last.find("hung, and was killed by SIGABRT after ") == 0U);
  scene.expect("no stop");  // wait_for() counts as a sign of life
  scene.expect("well");
  BOOST_TEST(logs("which said nothing for 1000 ms"));
  BOOST_TEST(stop().exited(0));
}

BOOST_FIXTURE_TEST_CASE(a_worker_that_stops_may_be_silent, Stage) {
  start("first:1,hang:1000", {"tell_worker", "cleanup_slow:1700", "wait"});
  next_worker();
  BOOST_TEST(stop().exited(0));
  scene.expect("stop");
  scene.expect("slow cleanup");
}

BOOST_FIXTURE_TEST_CASE(a_worker_that_was_suspended_with_its_monitor_did_not_hang, Stage) {
  start("first:1,hang:1000", {"tell_worker", "wait"});
  const Worker first = next_worker();
  for (const pid_t pid : {first.pid, monitor}) ::kill(pid, SIGSTOP);
  std::this_thread::sleep_for(1700ms);
  for (const pid_t pid : {monitor, first.pid}) ::kill(pid, SIGCONT);
  std::this_thread::sleep_for(700ms);
  BOOST_TEST(stop().exited(0));
  scene.expect("stop");
  BOOST_TEST(scene::contents(log) == "");
}

// The pause is shorter than `hang_timeout`, and longer than the part of it that was left.
BOOST_FIXTURE_TEST_CASE(a_worker_between_two_signs_of_life_may_be_suspended_with_its_monitor, Stage) {
  start("first:1,hang:1000", {"tell_worker", "say:works", "busy:900", "say:worked", "wait"});
  const Worker first = next_worker();
  scene.expect("works");
  for (const pid_t pid : {first.pid, monitor}) ::kill(pid, SIGSTOP);
  std::this_thread::sleep_for(800ms);
  for (const pid_t pid : {monitor, first.pid}) ::kill(pid, SIGCONT);
  scene.expect("worked");
  BOOST_TEST(stop().exited(0));
  scene.expect("stop");
  BOOST_TEST(scene::contents(log) == "");
}

BOOST_FIXTURE_TEST_CASE(keep_alive_keeps_a_worker_alive, Stage) {
  start("first:1,hang:1000", {"tell_worker", "keep_alive:1500", "say:well", "wait"});
  next_worker();
  scene.expect("well");
  BOOST_TEST(stop().exited(0));
  scene.expect("stop");
}

// ---- Under a service manager.

BOOST_FIXTURE_TEST_CASE(the_manager_gets_messages_of_the_monitor_alone, Stage) {
  const scene::Listener manager(scene.path("socket"));
  auto service = scene.start_probe(
      {"daemon", "respawn=first:1", "tell_worker", "on_reload", "until:2,_exit:1", "wait"}, [&] {
        ::setenv("NOTIFY_SOCKET", manager.name().c_str(), 1);
        ::setenv("WATCHDOG_USEC", "400000", 1);
      });
  std::string all;
  const auto hear = [&](const std::string& text) {
    for (;;) {
      const auto datagram = manager.await();
      BOOST_TEST(datagram.pid == service.pid(), datagram.text);
      if (datagram.text == "BARRIER=1") BOOST_TEST(bool(datagram.descriptor));
      if (datagram.text == text) return;
      all += datagram.text + ' ';
    }
  };
  hear("READY=1");
  hear("BARRIER=1");
  hear("READY=1");
  hear("BARRIER=1");
  hear("WATCHDOG=1");
  hear("WATCHDOG=1");
  BOOST_TEST(all.find("STOPPING") == std::string::npos);  // the service has not stopped
  ::kill(service.pid(), SIGTERM);
  hear("STOPPING=1");
  BOOST_TEST(service.finish().end.exited(0));
  BOOST_TEST(manager.next().text == "nothing");
}

BOOST_FIXTURE_TEST_CASE(passed_descriptors_are_given_to_each_worker, Stage) {
  auto service =
      scene.start_probe({"daemon", "respawn=first:1", "listen:web", "until:3,_exit:1", "wait"}, [] {
        ::dup2(STDERR_FILENO, 3);
        ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
        ::setenv("LISTEN_FDS", "1", 1);
        ::setenv("LISTEN_FDNAMES", "web", 1);
      });
  for (int n = 0; n < 3; ++n) scene.expect("descriptors 3:web, 1 web");
  ::kill(service.pid(), SIGTERM);
  BOOST_TEST(service.finish().end.exited(0));
}

// ---- Signals in a worker.

BOOST_FIXTURE_TEST_CASE(a_stop_gets_through_to_a_worker_whose_action_never_comes_to_an_end, Stage) {
  for (const scene::Words& more : {scene::Words{}, scene::Words{"delivery=on_own_thread"}}) {
    scene::Words actions = more;
    actions.insert(actions.end(), {"signal=10:flood", "tell_worker", "wait"});
    start("first:10", actions);
    ::kill(next_worker().pid, SIGUSR1);
    scene.expect("flooded");
    BOOST_TEST(stop().exited(0));
    scene.expect("stop");
  }
}

BOOST_FIXTURE_TEST_CASE(all_signals_at_once_do_not_overflow_the_stack_of_the_handlers, Stage) {
  scene::Words actions;
  for (int number = SIGRTMIN; number <= SIGRTMAX; ++number)
    actions.push_back("signal=" + std::to_string(number) + ":ignore");
  actions.insert(actions.end(), {"raise_all_at_once", "tell_worker", "wait"});
  start("first:10", actions);
  scene.expect("all have come");
  BOOST_TEST(next_worker().last == "none");
  BOOST_TEST(stop().exited(0));
  scene.expect("stop");
}

// ---- The monitor itself.

BOOST_FIXTURE_TEST_CASE(a_monitor_is_never_woken, Stage) {
  start("first:1", {"tell_worker", "wait"});
  const Worker worker = next_worker();
  const std::string process = "/proc/" + std::to_string(monitor);
  const auto status = [&] { return scene::contents(process + "/status"); };
  const auto sleeps = [](pid_t pid) {
    return scene::contents("/proc/" + std::to_string(pid) + "/stat").find(") S ") != std::string::npos;
  };
  // Once the worker waits, its last message has woken the monitor.
  BOOST_REQUIRE(scene::eventually([&] { return sleeps(worker.pid); }));
  BOOST_REQUIRE(scene::eventually([&] { return sleeps(monitor); }));
  const auto switches = [&] { return status().substr(status().find("voluntary_ctxt_switches")); };
  const std::string before = switches();
  BOOST_TEST(status().find("Threads:\t1\n") != std::string::npos);
  std::this_thread::sleep_for(3s);
  BOOST_TEST(switches() == before);
  BOOST_TEST(stop().exited(0));
}

BOOST_FIXTURE_TEST_CASE(a_manager_that_does_not_read_blocks_nobody, Stage) {
  const scene::Listener manager(scene.path("socket"));
  auto service =
      scene.start_probe({"daemon", "respawn=first:1", "tell_worker", "statuses:1000", "say:told", "wait"},
                        [&] { ::setenv("NOTIFY_SOCKET", manager.name().c_str(), 1); });
  while (manager.await().text != "BARRIER=1") continue;
  next_worker();
  scene.expect("told");
  ::kill(service.pid(), SIGTERM);
  scene.expect("stop");
  BOOST_TEST(service.finish().end.exited(0));
}

// ---- On a terminal.

BOOST_FIXTURE_TEST_CASE(a_signal_that_a_terminal_sends_to_both_reaches_the_worker_once, Stage) {
  int terminal = -1;
  const pid_t service = ::forkpty(&terminal, nullptr, nullptr, nullptr);
  if (service == 0) {
    scene::begin_afresh();
    ::execl(scene::probe().c_str(), "daemon_probe", scene.path("channel").c_str(), "daemon", "detach=never",
            "respawn=first:1", "signal=2:count", "tell_worker", "wait", nullptr);
    ::_exit(127);
  }
  const Worker first = next_worker();
  BOOST_TEST(first.monitor == service);
  BOOST_TEST(::write(terminal, "\x03", 1) == 1);  // Ctrl-C
  BOOST_TEST(scene.next() == "signal 2 value 0 from 0 0");
  BOOST_TEST(::write(terminal, "\x03", 1) == 1);
  BOOST_TEST(scene.next() == "signal 2 value 0 from 0 0");
  ::kill(service, SIGTERM);
  scene.expect("stop");
  BOOST_TEST(scene::await_end(service).exited(0));
  ::close(terminal);
}
