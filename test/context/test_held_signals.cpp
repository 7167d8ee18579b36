// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE held_signals

// Signals that people send to a service: before it handles them, from a terminal, and twice.

#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>

#include "stage.hpp"

using scene::contents;
using scene::pid_in;
using scene::Stage;
using scene::Words;

namespace {

constexpr auto dropped = " came during the start and is dropped: the service maps no action to it";

/// A service that pauses where its words say `pause()`, until the test calls `go_on`. Each service pauses
/// once.
struct Pausing : Stage {
  std::string gate = scene.path("gate");
  Pausing() { BOOST_REQUIRE(::mkfifo(gate.c_str(), 0666) == 0); }

  std::string pause() const { return "await:" + gate; }
  void go_on() const { ::close(::open(gate.c_str(), O_WRONLY | O_CLOEXEC)); }

  static void send_all(pid_t service) {
    for (const int signal : {SIGHUP, SIGUSR1, SIGUSR2}) BOOST_TEST(::kill(service, signal) == 0);
  }
  bool was_dropped(const std::string& signal) const {
    return contents(log).find(signal + dropped) != std::string::npos;
  }
};

/// A program that leads the session of a terminal.
class OnTerminal {
 public:
  OnTerminal(const Stage& stage, Words words, bool ignores_hang_up = false) {
    words.insert(words.begin(), {scene::probe(), stage.scene.path("channel")});
    begin(words, ignores_hang_up);
  }
  explicit OnTerminal(const Words& command) { begin(command, false); }
  ~OnTerminal() { hang_up(); }
  OnTerminal(const OnTerminal&) = delete;
  OnTerminal& operator=(const OnTerminal&) = delete;

  pid_t pid() const { return pid_; }
  void type(const std::string& keys) const {
    BOOST_TEST(::write(terminal_, keys.data(), keys.size()) == static_cast<ssize_t>(keys.size()));
  }
  void hang_up() {
    if (terminal_ != -1) ::close(terminal_);
    terminal_ = -1;
  }
  /// Reads the terminal until it has shown the text.
  bool shows(const std::string& text) {
    std::string shown;
    return scene::eventually([&] {
      char some[256];
      const auto size = ::read(terminal_, some, sizeof some);
      if (size > 0) shown.append(some, static_cast<std::size_t>(size));
      return shown.find(text) != std::string::npos;
    });
  }
  scene::End end() const { return scene::await_end(pid_); }

 private:
  void begin(const Words& command, bool ignores_hang_up) {
    pid_ = ::forkpty(&terminal_, nullptr, nullptr, nullptr);
    BOOST_REQUIRE(pid_ != -1);
    if (pid_ != 0) {
      ::fcntl(terminal_, F_SETFL, O_NONBLOCK);
      ::fcntl(terminal_, F_SETFD, FD_CLOEXEC);
      return;
    }
    scene::begin_afresh();
    if (ignores_hang_up) ::signal(SIGHUP, SIG_IGN);
    std::vector<char*> arguments;
    for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    ::execv(arguments[0], arguments.data());
    ::_exit(127);
  }

  pid_t pid_ = -1;
  int terminal_ = -1;
};

}  // namespace

// ---- Before the service handles them.

BOOST_FIXTURE_TEST_CASE(signals_during_the_set_up_end_nothing_and_a_reload_follows, Pausing) {
  auto starter = begin({"daemon", "pidfile=" + pidfile, "err=" + log, "readiness=notified", "say:up", pause(),
                        "on_reload", "ready", "wait"});
  scene.expect("up");
  const pid_t daemon = pid_in(pidfile);
  send_all(daemon);
  go_on();
  scene.expect("reloaded");
  BOOST_TEST(starter.finish().end.exited(0));
  BOOST_TEST(was_dropped("SIGUSR1"));
  BOOST_TEST(was_dropped("SIGUSR2"));
  BOOST_TEST(!was_dropped("SIGHUP"));
  stop(daemon);
}

BOOST_FIXTURE_TEST_CASE(a_daemon_that_is_ready_when_constructed_waits_for_on_reload_too, Pausing) {
  BOOST_TEST(run({"pidfile=" + pidfile, "err=" + log, "say:up", pause(), "on_reload", "map:10", "wait"})
                 .end.exited(0));
  scene.expect("up");
  const pid_t daemon = pid_in(pidfile);
  send_all(daemon);
  go_on();
  scene.expect("reloaded");
  scene.expect("mapped 10");
  BOOST_TEST(was_dropped("SIGUSR2"));
  stop(daemon);
}

BOOST_FIXTURE_TEST_CASE(signals_during_before_drop_end_nothing, Pausing) {
  auto starter =
      begin({"daemon", "pidfile=" + pidfile, "err=" + log, "before_drop=await " + gate, "on_reload", "wait"});
  scene.expect("in before_drop");
  const pid_t daemon = pid_in(pidfile);
  send_all(daemon);
  go_on();
  scene.next();  // before drop
  scene.expect("reloaded");
  BOOST_TEST(starter.finish().end.exited(0));
  stop(daemon);
}

BOOST_FIXTURE_TEST_CASE(programs_that_before_drop_starts_inherit_no_blocked_signal, Pausing) {
  for (const std::string detach : {"always", "never"}) {
    auto service = begin({"daemon", "detach=" + detach, "before_drop=mask", "return:0"});
    scene.expect("blocked 0000000000000000");
    scene.next();  // before drop
    BOOST_TEST(service.finish().end.exited(0));
  }
}

BOOST_FIXTURE_TEST_CASE(a_monitor_holds_them_until_its_worker_handles_them, Pausing) {
  BOOST_TEST(
      run({"pidfile=" + pidfile, "err=" + log, "respawn=first:1", "say:up", pause(), "on_reload", "wait"})
          .end.exited(0));
  scene.expect("up");
  const pid_t monitor = pid_in(pidfile);
  send_all(monitor);
  go_on();
  scene.expect("reloaded");
  BOOST_TEST(scene::eventually([&] { return was_dropped("SIGUSR1") && was_dropped("SIGUSR2"); }));
  stop(monitor);
}

BOOST_FIXTURE_TEST_CASE(a_worker_holds_them_like_its_monitor, Pausing) {
  BOOST_TEST(run({"pidfile=" + pidfile, "err=" + log, "respawn=first:1", "tell_worker", pause(), "on_reload",
                  "wait"})
                 .end.exited(0));
  const std::string told = scene.next();  // "worker 1 pid N monitor M last none"
  const auto at = told.find("pid ") + 4;
  send_all(static_cast<pid_t>(std::stoi(told.substr(at))));
  go_on();
  scene.expect("reloaded");
  stop(pid_in(pidfile));
}

BOOST_FIXTURE_TEST_CASE(on_its_own_thread_a_held_signal_runs_as_soon_as_it_is_mapped, Pausing) {
  BOOST_TEST(
      run({"pidfile=" + pidfile, "delivery=thread", "say:up", pause(), "on_reload", "hang"}).end.exited(0));
  scene.expect("up");
  const pid_t daemon = pid_in(pidfile);
  send_all(daemon);
  go_on();
  scene.expect("reloaded");
  ::kill(daemon, SIGKILL);
  scene::await_end(daemon);
}

BOOST_FIXTURE_TEST_CASE(a_wait_before_the_service_is_ready_ends_no_holding, Pausing) {
  auto starter = begin({"daemon", "pidfile=" + pidfile, "err=" + log, "readiness=notified", "wait_for:1",
                        pause(), "ready", "say:ready", "wait"});
  scene.expect("no stop");
  const pid_t daemon = pid_in(pidfile);
  BOOST_TEST(::kill(daemon, SIGUSR1) == 0);
  go_on();
  scene.expect("ready");
  BOOST_TEST(starter.finish().end.exited(0));
  BOOST_TEST(was_dropped("SIGUSR1"));
  stop(daemon);
}

BOOST_FIXTURE_TEST_CASE(afterwards_an_unmapped_signal_has_its_default_action, Pausing) {
  for (const std::string wait : {"wait", "poll"}) {
    for (const int signal : {SIGHUP, SIGUSR1, SIGUSR2}) {
      BOOST_TEST(run({"pidfile=" + pidfile, "wait_for:1", wait}).end.exited(0));
      scene.expect("no stop");
      const pid_t daemon = pid_in(pidfile);
      ::kill(daemon, signal);
      BOOST_TEST(scene::await_end(daemon).killed_by(signal));
    }
  }
}

BOOST_FIXTURE_TEST_CASE(a_signal_that_the_starter_ignores_stays_ignored_in_the_foreground, Pausing) {
  auto service = begin({"daemon", "detach=never", "say:up", "wait"}, [] { ::signal(SIGUSR1, SIG_IGN); });
  scene.expect("up");
  ::kill(service.pid(), SIGUSR1);
  ::kill(service.pid(), SIGTERM);
  scene.expect("stop");
  const auto result = service.finish();
  BOOST_TEST(result.end.exited(0));
  BOOST_TEST(result.err == "");
}

// ---- From a terminal.

BOOST_FIXTURE_TEST_CASE(a_service_in_the_foreground_stops_when_its_terminal_hangs_up, Stage) {
  const std::vector<Words> services = {
      {"detach=never", "on_reload", "cleanup:cleaned", "say:up", "wait"},
      {"detach=never", "cleanup:cleaned", "say:up", "wait"},
      {"detach=never", "delivery=thread", "on_reload", "cleanup:cleaned", "say:up", "wait"},
      {"detach=never", "respawn=first:1", "on_reload", "cleanup:cleaned", "say:up", "wait"},
      {"detach=never", "respawn=first:1", "cleanup:cleaned", "say:up", "wait"}};
  for (Words words : services) {
    words.insert(words.begin(), "daemon");
    OnTerminal service(*this, words);
    scene.expect("up");
    service.hang_up();
    scene.expect("stop");
    scene.expect("cleanup cleaned");
    BOOST_TEST(service.end().exited(0));
  }
}

BOOST_FIXTURE_TEST_CASE(a_shell_that_passes_the_hang_up_on_ends_the_service_too, Stage) {
  const std::string probe = scene::probe() + ' ' + scene.path("channel") + " daemon detach=never ";
  for (const std::string respawn : {"", "respawn=first:1 "}) {
    OnTerminal shell(
        {"/bin/bash", "--norc", "--noprofile", "-i", "-c", probe + respawn + "on_reload say:up wait; true"});
    scene.expect("up");
    shell.hang_up();
    scene.expect("stop");
    shell.end();
  }
}

BOOST_FIXTURE_TEST_CASE(while_the_terminal_is_there_sighup_asks_for_a_reload, Stage) {
  for (const std::string respawn : {"umask=022", "respawn=first:1"}) {
    OnTerminal service(*this, {"daemon", "detach=never", respawn, "on_reload", "say:up", "wait"});
    scene.expect("up");
    ::kill(service.pid(), SIGHUP);
    scene.expect("reloaded");
    ::kill(service.pid(), SIGTERM);
    scene.expect("stop");
    BOOST_TEST(service.end().exited(0));
  }
}

BOOST_FIXTURE_TEST_CASE(a_service_under_nohup_survives_its_terminal, Stage) {
  OnTerminal service(*this, {"daemon", "detach=never", "on_reload", "say:up", "wait"}, true);
  scene.expect("up");
  service.hang_up();
  scene.expect("reloaded");
  ::kill(service.pid(), SIGTERM);
  scene.expect("stop");
  BOOST_TEST(service.end().exited(0));
}

BOOST_FIXTURE_TEST_CASE(a_second_ctrl_c_names_the_key_that_ends_a_slow_stop_at_once, Stage) {
  for (const std::string respawn : {"umask=022", "respawn=first:1"}) {
    OnTerminal service(*this, {"daemon", "detach=never", respawn, "cleanup_hang", "say:up", "wait"});
    scene.expect("up");
    service.type("\x03");
    scene.expect("stop");
    service.type("\x03");
    BOOST_TEST(service.shows("daemon_probe: still stopping; Ctrl-\\ ends it at once\r\n"));
    service.type("\x1c");
    BOOST_TEST(service.end().killed_by(SIGQUIT));
  }
}
