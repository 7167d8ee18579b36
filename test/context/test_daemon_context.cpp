// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE daemon_context
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <boost/test/unit_test.hpp>
#include <cstring>
#include <daemonctx/daemon_context.hpp>
#include <type_traits>

#include "scene.hpp"

using daemonctx::DaemonContext;
using scene::Scene;

static_assert(!std::is_copy_constructible_v<DaemonContext> && !std::is_move_constructible_v<DaemonContext>);
static_assert(!std::is_copy_assignable_v<DaemonContext> && !std::is_move_assignable_v<DaemonContext>);
static_assert(!std::is_convertible_v<daemonctx::DaemonOptions, DaemonContext>);

namespace {

pid_t pid_of(const scene::Facts& facts) { return std::stoi(facts.at("pid")); }

// Writes five digits over the five in the file, without truncating it.
void write_in_place(const std::string& file, int number) {
  const int fd = ::open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  BOOST_REQUIRE(::pwrite(fd, std::to_string(number).data(), 5, 0) == 5);
  ::close(fd);
}

// A service manager's socket; see sd_notify(3).
class Manager {
 public:
  explicit Manager(const Scene& scene) : path_(scene.path("notify")) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path_.c_str(), sizeof address.sun_path - 1);
    fd_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    BOOST_REQUIRE(::bind(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    const timeval patience{scene::patience.count(), 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  }
  ~Manager() { ::close(fd_); }
  Manager(const Manager&) = delete;
  Manager& operator=(const Manager&) = delete;

  std::function<void()> surroundings() const {
    return [this] { ::setenv("NOTIFY_SOCKET", path_.c_str(), 1); };
  }
  std::string next() const {
    std::array<char, 4096> message{};
    const auto size = ::recv(fd_, message.data(), message.size(), 0);
    return size < 0 ? "nothing" : std::string(message.data(), static_cast<std::size_t>(size));
  }

 private:
  std::string path_;
  int fd_ = -1;
};

}  // namespace

BOOST_AUTO_TEST_CASE(a_second_context_is_refused) {
  Scene scene;
  scene.run_probe({"daemon", "second", "facts"});
  scene.expect("a DaemonContext is already open in this process");
  BOOST_TEST(scene.facts().at("mode") == "detached");  // the first context still works
}

BOOST_AUTO_TEST_CASE(wrong_options_are_refused_before_anything_happens) {
  Scene scene;
  const auto result =
      scene.run_probe({"daemon", "pidfile=" + scene.path("pid"), "ready_timeout=-1", "say:alive"});
  BOOST_TEST(result.end.exited(2));
  BOOST_TEST(result.err == "ready_timeout: must not be negative, is -1 ms\n");
  BOOST_TEST(!scene::exists(scene.path("pid")));
  BOOST_TEST(!scene.has_line());
}

BOOST_AUTO_TEST_CASE(waiting_ends_in_time_or_at_a_stop) {
  Scene scene;
  scene.run_probe({"daemon", "wait_for:0", "wait_for:20", "request_stop", "wait_for:100000", "wait"});
  scene.expect("no stop");
  scene.expect("no stop");
  scene.expect("stop");
  scene.expect("stop");
}

BOOST_AUTO_TEST_CASE(connections_are_closed_at_the_end) {
  Scene scene;
  scene.run_probe({"daemon", "close_connections"});
  scene.expect("closed pointed at");
  scene.expect("closed moved");
  scene.expect("closed lasting");
}

BOOST_AUTO_TEST_SUITE(signals)

BOOST_AUTO_TEST_CASE(run_their_action_with_value_and_sender) {
  for (const std::string delivery : {"wait", "poll"}) {
    Scene scene;
    scene.run_probe({"daemon", "signal=10:count", "facts", delivery});
    const pid_t daemon = pid_of(scene.facts());
    sigval value{};
    value.sival_int = 42;
    ::sigqueue(daemon, SIGUSR1, value);
    const std::string sender = std::to_string(::getpid()) + ' ' + std::to_string(::getuid());
    scene.expect("signal 10 value 42 from " + sender);
    ::kill(daemon, SIGUSR1);
    scene.expect("signal 10 value 0 from " + sender);
    ::kill(daemon, SIGTERM);
    scene.expect("stop");
  }
}

BOOST_AUTO_TEST_CASE(of_a_burst_may_merge_but_the_last_is_never_lost) {
  for (const scene::Words& delivery :
       {scene::Words{"facts", "wait"}, {"facts", "poll"}, {"delivery=thread", "facts", "wait"}}) {
    Scene scene;
    // Real-time signals: the kernel itself merges standard signals while they are pending.
    const std::string state = scene.path("state");
    scene::Words words = {"daemon", "signal=40:read " + state, "signal=41:read " + state};
    words.insert(words.end(), delivery.begin(), delivery.end());
    scene.run_probe(words);
    const pid_t daemon = pid_of(scene.facts());
    for (int n = 1; n <= 10000; ++n) {
      write_in_place(state, 10000 + n);
      while (::sigqueue(daemon, n % 2 == 0 ? 40 : 41, {}) == -1) ::sched_yield();  // the queue is full
    }
    while (scene.next() != "20000") {
    }
    ::kill(daemon, SIGTERM);
    std::string line = "20000";
    while (line == "20000") line = scene.next();  // the last one of the other signal may still come
    BOOST_TEST(line == "stop");
    BOOST_TEST(scene::await_end(daemon).exited(0));
  }
}

BOOST_AUTO_TEST_CASE(of_a_burst_carry_the_last_value) {
  for (const std::string delivery : {"wait", "poll"}) {
    Scene scene;
    scene.run_probe({"daemon", "signal=40:count", "facts", delivery});
    const pid_t daemon = pid_of(scene.facts());
    for (int n = 1; n <= 10000; ++n) {
      sigval value{};
      value.sival_int = n;
      while (::sigqueue(daemon, 40, value) == -1) ::sched_yield();
    }
    const std::string sender = std::to_string(::getpid()) + ' ' + std::to_string(::getuid());
    while (scene.next() != "signal 40 value 10000 from " + sender) {
    }
    ::kill(daemon, SIGTERM);
    scene.expect("stop");
  }
}

BOOST_AUTO_TEST_CASE(of_termination_interrupt_a_blocked_service) {
  Scene scene;
  scene.run_probe({"daemon", "facts", "block_in_read"});
  const pid_t daemon = pid_of(scene.facts());
  scene.expect("reading");
  // Wait until the daemon is in read(2): an earlier signal would find nothing to interrupt.
  BOOST_TEST(scene::eventually(
      [&] { return scene::contents("/proc/" + std::to_string(daemon) + "/syscall").rfind("0 ", 0) == 0; }));
  ::kill(daemon, SIGTERM);
  scene.expect("interrupted");
}

BOOST_AUTO_TEST_CASE(that_are_ignored_do_nothing_and_keep_their_default_in_executed_programs) {
  Scene scene;
  scene.run_probe({"daemon", "signal=12:ignore", "facts", "wait"});
  const auto facts = scene.facts();
  BOOST_TEST(facts.at("ignored") == "0000000000000000");
  for (const int signal : {SIGUSR2, SIGTSTP, SIGTTIN, SIGTTOU}) ::kill(pid_of(facts), signal);
  ::kill(pid_of(facts), SIGTERM);
  scene.expect("stop");
}

BOOST_AUTO_TEST_CASE(of_children_are_really_ignored_or_reap_them) {
  Scene scene;
  scene.run_probe({"daemon", "signal=17:ignore", "facts", "wait"});
  BOOST_TEST(scene.facts().at("ignored") == "0000000000010000");
  scene.run_probe({"daemon", "signal=17:reap", "facts", "fork:wait", "wait"});
  scene.facts();
  const pid_t worker = std::stoi(scene.next().substr(7));
  ::kill(worker, SIGKILL);
  BOOST_TEST(scene::eventually([&] { return !scene::exists("/proc/" + std::to_string(worker)); }));
}

BOOST_AUTO_TEST_CASE(have_their_default_action_on_request) {
  Scene scene;
  scene.run_probe({"daemon", "signal=15:restore_default", "facts", "wait"});
  const pid_t daemon = pid_of(scene.facts());
  ::kill(daemon, SIGTERM);
  BOOST_TEST(scene::await_end(daemon).killed_by(SIGTERM));
}

BOOST_AUTO_TEST_CASE(whose_action_throws_are_reported) {
  Scene scene;
  scene.run_probe({"daemon", "signal=10:throw", "on_error=throw", "facts", "wait"});
  const pid_t daemon = pid_of(scene.facts());
  ::kill(daemon, SIGUSR1);
  scene.expect("error in signal action: bad action");
  ::kill(daemon, SIGTERM);
  scene.expect("stop");
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_CASE(a_reload_runs_and_a_broken_one_is_reported) {
  for (const bool good : {true, false}) {
    Scene scene;
    scene.run_probe({"daemon", "on_error=say", "facts", good ? "on_reload" : "on_reload:throw", "wait"});
    const pid_t daemon = pid_of(scene.facts());
    BOOST_TEST(scene::eventually([&] {  // SIGHUP kills before it is mapped
      return scene::contents("/proc/" + std::to_string(daemon) + "/status")
                 .find("SigCgt:\t0000000000385003") != std::string::npos;
    }));
    ::kill(daemon, SIGHUP);
    scene.expect(good ? "reloaded" : "error in reload: broken configuration");
    ::kill(daemon, SIGTERM);
    scene.expect("stop");
  }
}

BOOST_AUTO_TEST_CASE(output_is_reopened_after_rotation) {
  Scene scene;
  const std::string log = scene.path("log");
  scene.run_probe({"daemon", "out=new:" + log, "err=new:" + log, "signal=10:reopen", "signal=12:count",
                   "facts", "print:before", "wait", "print:after", "eprint:after too"});
  const pid_t daemon = pid_of(scene.facts());
  BOOST_TEST(scene::eventually([&] { return scene::contents(log) == "before\n"; }));
  BOOST_REQUIRE(::rename(log.c_str(), (log + ".1").c_str()) == 0);
  ::kill(daemon, SIGUSR1);
  BOOST_TEST(scene::eventually([&] { return scene::exists(log); }));
  ::kill(daemon, SIGTERM);
  scene.expect("stop");
  BOOST_TEST(scene::await_end(daemon).exited(0));
  BOOST_TEST(scene::contents(log + ".1") == "before\n");
  BOOST_TEST(scene::contents(log) == "after\nafter too\n");
}

BOOST_AUTO_TEST_CASE(a_failed_reopen_keeps_the_old_file_and_says_so) {
  Scene scene;
  const std::string log = scene.path("folder/log");
  ::mkdir(scene.path("folder").c_str(), 0755);
  scene.run_probe(
      {"daemon", "out=" + log, "signal=10:reopen", "on_error=say", "facts", "wait", "print:still here"});
  const pid_t daemon = pid_of(scene.facts());
  BOOST_REQUIRE(::rename(scene.path("folder").c_str(), scene.path("moved").c_str()) == 0);
  ::kill(daemon, SIGUSR1);
  scene.expect("error in reopen output: cannot open the file \"" + log + "\": No such file or directory");
  ::kill(daemon, SIGTERM);
  scene.expect("stop");
  BOOST_TEST(scene::await_end(daemon).exited(0));
  BOOST_TEST(scene::contents(scene.path("moved/log")) == "still here\n");
}

BOOST_AUTO_TEST_CASE(a_failure_after_ready_is_reported_and_stops) {
  Scene scene;
  scene.run_probe({"daemon", "on_error=say", "fail:disk is gone", "wait"});
  scene.expect("error in service: disk is gone");
  scene.expect("stop");
}

BOOST_AUTO_TEST_CASE(an_exception_that_run_catches_is_one_line_in_the_log) {
  Scene scene;
  scene.run_probe({"run", "err=" + scene.path("log"), "facts", "throw:two\nlines"});
  BOOST_TEST(scene::await_end(pid_of(scene.facts())).exited(1));
  BOOST_TEST(scene::contents(scene.path("log")) == "daemon_probe: service: two lines\n");
}

BOOST_AUTO_TEST_CASE(a_service_manager_is_notified) {
  Scene scene;
  const Manager manager(scene);
  auto daemon =
      scene.start_probe({"daemon", "facts", "on_reload:throw", "say:on", "wait"}, manager.surroundings());
  const auto facts = scene.facts();
  scene.expect("on");
  BOOST_TEST(facts.at("mode") == "managed");
  BOOST_TEST(facts.at("pid") == std::to_string(daemon.pid()));
  BOOST_TEST(manager.next() == "READY=1");
  ::kill(daemon.pid(), SIGHUP);
  BOOST_TEST(manager.next().rfind("RELOADING=1\nMONOTONIC_USEC=", 0) == 0U);
  BOOST_TEST(manager.next() == "STATUS=reload failed: broken configuration");
  BOOST_TEST(manager.next() == "READY=1");
  ::kill(daemon.pid(), SIGTERM);
  BOOST_TEST(manager.next() == "STOPPING=1");
  BOOST_TEST(daemon.finish().end.exited(0));
}
