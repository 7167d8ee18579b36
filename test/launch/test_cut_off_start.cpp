// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE cut_off_start

// The caller is killed, interrupted, stopped or loses its terminal while the daemon is starting. Afterwards a
// whole daemon runs or none, and the next start knows which.

#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <chrono>
#include <random>
#include <thread>

#include "stage.hpp"

using scene::Scene;

namespace {

using Clock = std::chrono::steady_clock;

struct Stage : scene::Stage {
  std::string gate = scene.path("gate");
  // A daemon that is not ready until `open_gate` is called.
  const scene::Words held_up = {
      "daemon", "pidfile=" + pidfile, "readiness=notified", "facts", "await:" + gate, "ready", "say:ready",
      "wait"};

  Stage() { BOOST_REQUIRE(::mkfifo(gate.c_str(), 0600) == 0); }

  void open_gate() const {
    int fd = -1;
    BOOST_REQUIRE(scene::eventually([&] {  // open fails until the daemon has opened the FIFO
      fd = ::open(gate.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC);
      return fd != -1;
    }));
    ::close(fd);
  }

  // Waits until the start has settled. Returns the daemon's pid, or 0 if no process is left.
  pid_t await_outcome() {
    pid_t daemon = 0;
    const bool settled = scene::eventually([&] {
      if (daemon == 0 && scene.has_line()) daemon = scene::pid_in(pidfile);
      auto processes = scene::children();
      for (const pid_t pid : processes) {
        if (pid != daemon) ::waitpid(pid, nullptr, WNOHANG);
      }
      processes = scene::children();
      return daemon == 0 ? processes.empty() : processes == std::vector<pid_t>{daemon};
    });
    BOOST_REQUIRE(settled);
    if (daemon != 0) scene.expect("up");
    return daemon;
  }

  // The start has left neither half a daemon nor a lock without a daemon.
  void check_whole_or_none(pid_t daemon) {
    if (daemon != 0) {
      rejects_as_running(daemon);
      stop(daemon);
      BOOST_TEST(!scene::exists(pidfile));
    }
    run({"pidfile=" + pidfile, "say:up", "wait"});
    const pid_t next = await_outcome();
    BOOST_REQUIRE(next != 0);
    stop(next);
    BOOST_TEST(!scene::exists(pidfile));
  }
  void rejects_as_running(pid_t daemon) const {
    const auto second = run({"pidfile=" + pidfile});
    BOOST_TEST(second.end.exited(1));
    const std::string line =
        "already running, pid " + std::to_string(daemon) + " (pidfile \"" + pidfile + "\")\n";
    BOOST_TEST(second.err.find(line) != std::string::npos, second.err << " lacks: " << line);
  }
};

// Moments spread over the time that a start takes and a little beyond, each later than the one before.
class Moments {
 public:
  explicit Moments(Stage& stage) {
    const auto begin = Clock::now();
    stage.run({"pidfile=" + stage.pidfile, "say:up", "wait"});
    span_ = (Clock::now() - begin) * 5 / 4;
    stage.stop(stage.await_outcome());
  }
  void each(const std::function<void(int round)>& test) {
    for (int round = 0; round < count_; ++round) {
      const double part = (round + std::uniform_real_distribution<>(0, 1)(random_)) / count_;
      moment_ = std::chrono::duration_cast<Clock::duration>(span_ * part);
      BOOST_TEST_CONTEXT("round " << round) { test(round); }
    }
  }
  void await() const { std::this_thread::sleep_for(moment_); }

 private:
  int count_ = scene::rounds(std::stoi(scene::argument(2)));
  Clock::duration span_{};
  Clock::duration moment_{};
  std::mt19937 random_{4711};
};

// A terminal with the probe as its session leader.
class Terminal {
 public:
  Terminal(const Stage& stage, const scene::Words& words, const scene::Surroundings& surroundings = {}) {
    scene::Words command = {stage.program, stage.scene.path("channel")};
    command.insert(command.end(), words.begin(), words.end());
    leader_ = ::forkpty(&master_, nullptr, nullptr, nullptr);
    if (leader_ != 0) return;
    scene::begin_afresh();
    if (surroundings) surroundings();
    std::vector<char*> arguments;
    for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    ::execv(arguments[0], arguments.data());
    ::_exit(127);
  }
  ~Terminal() { hang_up(); }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  pid_t leader() const { return leader_; }
  void hang_up() {
    if (master_ != -1) ::close(master_);
    master_ = -1;
  }

 private:
  pid_t leader_ = -1;
  int master_ = -1;
};

void await_stop(pid_t child) {
  siginfo_t stopped{};
  BOOST_REQUIRE(::waitid(P_PID, static_cast<id_t>(child), &stopped, WSTOPPED) == 0);
  BOOST_TEST(stopped.si_code == CLD_STOPPED);
}

}  // namespace

BOOST_FIXTURE_TEST_CASE(a_caller_killed_at_any_moment_leaves_a_whole_daemon_or_none, Stage) {
  int whole = 0;
  Moments moments(*this);
  moments.each([&](int) {
    auto caller = begin({"daemon", "pidfile=" + pidfile, "out=" + log, "say:up", "wait"});
    moments.await();
    ::kill(caller.pid(), SIGKILL);
    caller.finish();
    const pid_t daemon = await_outcome();
    whole += daemon != 0 ? 1 : 0;
    check_whole_or_none(daemon);
  });
  BOOST_TEST_MESSAGE("whole daemons: " << whole);
}

BOOST_FIXTURE_TEST_CASE(a_caller_interrupted_at_any_moment_leaves_nothing_unless_it_had_succeeded, Stage) {
  int whole = 0;
  const std::string made = scene.path("made");
  Moments moments(*this);
  moments.each([&](int round) {
    const int signal = round % 2 == 0 ? SIGTERM : SIGINT;
    auto caller = begin({"daemon", "mkdir=" + made, "pidfile=" + pidfile, "out=" + log, "say:up", "wait"});
    moments.await();
    ::kill(caller.pid(), signal);
    const auto result = caller.finish();
    BOOST_TEST(result.err == "");
    if (result.end.exited(0)) {
      ++whole;
      BOOST_TEST(scene::exists(made));
      ::rmdir(made.c_str());
      check_whole_or_none(await_outcome());
      return;
    }
    BOOST_TEST(result.end.killed_by(signal));
    BOOST_TEST(scene::children().empty());
    BOOST_TEST(!scene::exists(pidfile));
    BOOST_TEST(!scene::exists(made));
    while (scene.has_line()) scene.next();  // from a daemon that was ready before it was taken down
    check_whole_or_none(0);
  });
  BOOST_TEST_MESSAGE("whole daemons: " << whole);
}

BOOST_FIXTURE_TEST_CASE(a_daemon_whose_caller_was_killed_gives_up_as_soon_as_it_is_ready, Stage) {
  auto caller = begin(held_up);
  const pid_t daemon = std::stoi(scene.facts().at("pid"));
  ::kill(caller.pid(), SIGKILL);
  BOOST_TEST(scene::await_end(caller.pid()).killed_by(SIGKILL));
  rejects_as_running(daemon);
  open_gate();
  BOOST_TEST(scene::await_end(daemon).exited(1));
  BOOST_TEST(!scene::exists(pidfile));
  BOOST_TEST(!scene.has_line());
  check_whole_or_none(0);
}

BOOST_FIXTURE_TEST_CASE(a_hang_up_takes_the_half_started_daemon_down, Stage) {
  const std::string made = scene.path("made");
  Terminal terminal(*this,
                    {"daemon", "mkdir=" + made, "pidfile=" + pidfile, "readiness=notified", "facts", "wait"});
  scene.facts();
  terminal.hang_up();
  BOOST_TEST(scene::await_end(terminal.leader()).killed_by(SIGHUP));
  scene.expect("stop");
  BOOST_TEST(scene::children().empty());
  BOOST_TEST(!scene::exists(made));
  BOOST_TEST(!scene::exists(pidfile));
  BOOST_TEST(!scene.has_line());
  check_whole_or_none(0);
}

BOOST_FIXTURE_TEST_CASE(a_hang_up_that_is_ignored_does_not_disturb_the_start, Stage) {
  Terminal terminal(*this, held_up, [] { ::signal(SIGHUP, SIG_IGN); });
  const auto facts = scene.facts();
  terminal.hang_up();
  open_gate();
  BOOST_TEST(scene::await_end(terminal.leader()).exited(0));
  scene.expect("ready");
  BOOST_TEST(scene::pid_in(pidfile) == std::stoi(facts.at("pid")));
  stop(facts);
  BOOST_TEST(!scene::exists(pidfile));
}

BOOST_FIXTURE_TEST_CASE(a_caller_that_sigstop_has_stopped_goes_on_after_sigcont, Stage) {
  auto caller = begin(held_up);
  const auto facts = scene.facts();
  ::kill(caller.pid(), SIGSTOP);
  await_stop(caller.pid());
  open_gate();
  scene.expect("ready");
  ::kill(caller.pid(), SIGCONT);
  BOOST_TEST(caller.finish().end.exited(0));
  stop(facts);
  BOOST_TEST(!scene::exists(pidfile));
}

BOOST_FIXTURE_TEST_CASE(a_caller_that_waits_for_a_lock_can_be_interrupted, Stage) {
  const pid_t first = start_leaving();
  auto second = begin({"daemon", "pidfile=" + pidfile, "lock_timeout=600000", "on_wait=yes"});
  scene.expect("waiting");
  ::kill(second.pid(), SIGTERM);
  BOOST_TEST(second.finish().end.killed_by(SIGTERM));
  while (scene.has_line()) scene.expect("waiting");
  BOOST_TEST(scene::pid_in(pidfile) == first);
  ::kill(first, SIGKILL);
  scene::await_end(first);
}

// A function that is called during the wait starts no process, so all processes are those of the start.
BOOST_FIXTURE_TEST_CASE(a_start_that_shows_its_wait_ends_what_has_escaped_too, Stage) {
  const auto result = run({"on_wait=yes", "readiness=notified", "ready_timeout=700", "escape", "hang"});
  BOOST_TEST(result.end.exited(1));
  pid_t escaped = 0;
  for (std::string line; escaped == 0;) {
    line = scene.next();
    if (line.rfind("escaped ", 0) == 0) escaped = std::stoi(line.substr(8));
  }
  BOOST_TEST(::kill(escaped, 0) == -1);
  BOOST_TEST(scene::children().empty());
}
