// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE service_manager

// The messages of a service to the service manager that started it, as the manager receives them.

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <set>
#include <sstream>

#include "listener.hpp"
#include "scene.hpp"

using scene::Listener;
using scene::Scene;
using namespace std::chrono_literals;

namespace {

struct Stage {
  Scene scene;
  Listener manager{scene.path("socket")};
  std::string pidfile = scene.path("pid");

  std::function<void()> surroundings(std::function<void()> more = {}) const {
    return [this, more] {
      ::setenv("NOTIFY_SOCKET", manager.name().c_str(), 1);
      if (more) more();
    };
  }
  void expect(const std::string& text, pid_t sender) const {
    const auto datagram = manager.await();
    BOOST_TEST(datagram.text == text);
    BOOST_TEST(datagram.pid == sender);
  }
};

void set(const char* variable, const std::string& value) { ::setenv(variable, value.c_str(), 1); }

// Passes descriptors from 3 on to this process, as a manager does just before exec.
void pass_descriptors(int count, const char* names) {
  for (int fd = 3; fd < 3 + count; ++fd) ::dup2(STDERR_FILENO, fd);
  set("LISTEN_PID", std::to_string(::getpid()));
  set("LISTEN_FDS", std::to_string(count));
  if (names != nullptr) set("LISTEN_FDNAMES", names);
}

}  // namespace

BOOST_FIXTURE_TEST_CASE(the_manager_hears_each_stage_from_the_service_itself, Stage) {
  auto service = scene.start_probe(
      {"daemon", "pidfile=" + pidfile, "on_reload:throw", "manager", "facts", "wait"}, surroundings());
  const pid_t pid = service.pid();
  expect("READY=1", pid);
  expect("EXTEND_TIMEOUT_USEC=2000000", pid);
  {
    const auto stored = manager.await();
    BOOST_TEST(stored.text == "FDSTORE=1\nFDNAME=output");
    BOOST_TEST(bool(stored.descriptor));
  }
  expect("FDSTOREREMOVE=1\nFDNAME=output", pid);
  expect("ERRNO=2\nSTATUS=no key", pid);
  expect("STATUS=working", pid);
  expect("BARRIER=1", pid);
  scene.expect("barrier 1");
  scene.expect("watchdog none");
  scene.expect("\"a:b\" can't be the name of a stored descriptor");
  BOOST_TEST(scene.facts().at("mode") == "managed");
  ::kill(pid, SIGHUP);
  const std::string reloading = manager.await().text;
  BOOST_TEST(reloading.rfind("RELOADING=1\nMONOTONIC_USEC=", 0) == 0U);
  expect("STATUS=reload failed: broken configuration", pid);
  expect("READY=1", pid);
  ::kill(pid, SIGTERM);
  expect("STOPPING=1", pid);
  BOOST_TEST(service.finish().end.exited(0));
  BOOST_TEST(manager.next().text == "nothing");
}

BOOST_FIXTURE_TEST_CASE(the_manager_is_told_why_a_start_failed, Stage) {
  auto service = scene.start_probe({"daemon", "cwd=/none"}, surroundings());
  expect("ERRNO=2\nSTATUS=cannot change the working directory to \"/none\": No such file or directory",
         service.pid());
  BOOST_TEST(service.finish().end.exited(1));
  auto nobody = scene.start_probe({"daemon", "user=nosuch"}, surroundings());
  expect("ERRNO=22\nSTATUS=there is no user \"nosuch\"", nobody.pid());
  BOOST_TEST(nobody.finish().end.exited(1));
}

BOOST_FIXTURE_TEST_CASE(the_manager_learns_the_daemons_pid_before_the_caller_ends, Stage) {
  auto caller =
      scene.start_probe({"daemon", "detach=always", "pidfile=" + pidfile, "facts", "wait"}, surroundings());
  const auto ready = manager.await();
  BOOST_TEST(ready.text == "MAINPID=" + std::to_string(ready.pid) + "\nREADY=1");
  BOOST_TEST(ready.pid != caller.pid());
  {
    const auto barrier = manager.await();  // the caller waits until its descriptor is closed
    BOOST_TEST(barrier.text == "BARRIER=1");
    BOOST_TEST(!scene.has_line());
  }
  const auto facts = scene.facts();
  BOOST_TEST(facts.at("pid") == std::to_string(ready.pid));
  BOOST_TEST(caller.finish().end.exited(0));
  ::kill(ready.pid, SIGTERM);
  scene.expect("stop");
  BOOST_TEST(scene::await_end(ready.pid).exited(0));
}

BOOST_FIXTURE_TEST_CASE(a_service_that_waits_pings_the_watchdog, Stage) {
  const auto watched = surroundings([] {
    set("WATCHDOG_USEC", "100000");
    set("WATCHDOG_PID", std::to_string(::getpid()));
  });
  auto service = scene.start_probe({"daemon", "facts", "wait"}, watched);
  expect("READY=1", service.pid());
  BOOST_TEST(scene.facts().at("threads") == "1");
  for (int n = 0; n < 5; ++n) expect("WATCHDOG=1", service.pid());
  ::kill(service.pid(), SIGTERM);
  BOOST_TEST(service.finish().end.exited(0));
}

// An interval that no clock can hold means no watchdog. The service must not ping at all.
BOOST_FIXTURE_TEST_CASE(a_watchdog_interval_too_long_for_any_clock_means_no_ping, Stage) {
  const auto watched = surroundings([] { set("WATCHDOG_USEC", "9223372036854775807"); });
  auto service = scene.start_probe({"daemon", "wait_for:50", "wait"}, watched);
  expect("READY=1", service.pid());
  scene.expect("no stop");
  ::kill(service.pid(), SIGTERM);
  expect("STOPPING=1", service.pid());
  BOOST_TEST(service.finish().end.exited(0));
}

BOOST_FIXTURE_TEST_CASE(a_service_that_hangs_does_not_ping_the_watchdog, Stage) {
  const auto watched = surroundings([] { set("WATCHDOG_USEC", "1000"); });
  auto service = scene.start_probe({"daemon", "busy:100", "say:done", "wait"}, watched);
  expect("READY=1", service.pid());
  scene.expect("done");
  // A thread that pinged meanwhile would have sent dozens.
  int pings = 0;
  while (manager.next().text == "WATCHDOG=1") ++pings;
  BOOST_TEST(pings < 20);
  ::kill(service.pid(), SIGKILL);
}

// The service has one thread. Besides the standard streams and the pidfile it has at most two descriptors:
// the one by which signals wake it, and the manager's socket.
BOOST_FIXTURE_TEST_CASE(a_service_that_waits_is_never_woken, Stage) {
  auto service = scene.start_probe({"daemon", "pidfile=" + pidfile, "facts", "wait"}, surroundings());
  expect("READY=1", service.pid());
  const auto facts = scene.facts();
  BOOST_TEST(facts.at("threads") == "1");
  std::set<std::string> descriptors;
  std::istringstream fds(facts.at("fds"));
  for (std::string fd; fds >> fd;) {
    const auto pipe = fd.find(":pipe:");  // for signals, where there is no eventfd; both ends count as one
    descriptors.insert(pipe == std::string::npos ? fd : fd.substr(pipe));
  }
  BOOST_TEST(descriptors.size() <= 3 + 1 + 2U, facts.at("fds"));
  const std::string process = "/proc/" + std::to_string(service.pid());
  const auto sleeps = [&] { return scene::contents(process + "/stat").find(") S ") != std::string::npos; };
  BOOST_REQUIRE(scene::eventually(sleeps));
  const auto switches = [&] {
    std::istringstream lines(scene::contents(process + "/status"));
    std::string found;
    for (std::string line; std::getline(lines, line);) {
      if (line.find("ctxt_switches") != std::string::npos) found += line + ' ';
    }
    return found;
  };
  const std::string before = switches();
  pollfd message{manager.fd(), POLLIN, 0};
  BOOST_TEST(::poll(&message, 1, 5000) == 0);  // no message either
  BOOST_TEST(switches() == before);
  BOOST_TEST(before != "");
  ::kill(service.pid(), SIGTERM);
  BOOST_TEST(service.finish().end.exited(0));
}

BOOST_FIXTURE_TEST_CASE(the_watchdog_of_another_process_is_ignored, Stage) {
  const auto watched = surroundings([] {
    set("WATCHDOG_USEC", "1000");
    set("WATCHDOG_PID", "1");
  });
  auto service = scene.start_probe({"daemon", "manager", "wait"}, watched);
  for (int n = 0; n < 7; ++n) manager.await();
  scene.expect("barrier 1");
  scene.expect("watchdog none");
  ::kill(service.pid(), SIGTERM);
  BOOST_TEST(service.finish().end.exited(0));
}

BOOST_FIXTURE_TEST_CASE(passed_descriptors_are_taken_over_by_name, Stage) {
  auto service = scene.start_probe({"daemon", "listen:web", "facts", "wait"},
                                   surroundings([] { pass_descriptors(3, "web:admin:web"); }));
  scene.expect("descriptors 3:web 4:admin 5:web, 2 web");
  const auto environment = scene.facts().at("environment");
  for (const char* variable : {"NOTIFY_SOCKET", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}) {
    BOOST_TEST(environment.find(variable) == std::string::npos, variable);
  }
  ::kill(service.pid(), SIGTERM);
  BOOST_TEST(service.finish().end.exited(0));
}

BOOST_AUTO_TEST_CASE(passed_descriptors_are_kept_over_a_detach) {
  Scene scene;
  auto caller =
      scene.start_probe({"daemon", "detach=always", "listen:", "wait"}, [] { pass_descriptors(2, nullptr); });
  scene.expect("descriptors 3:unknown 4:unknown");
}

BOOST_AUTO_TEST_CASE(descriptors_of_another_process_are_left_alone) {
  Scene scene;
  auto service = scene.start_probe({"daemon", "detach=never", "listen:", "wait"}, [] {
    pass_descriptors(1, nullptr);
    set("LISTEN_PID", "1");
  });
  scene.expect("descriptors");
  ::kill(service.pid(), SIGTERM);
}

BOOST_AUTO_TEST_CASE(wrong_variables_of_the_manager_are_refused) {
  Scene scene;
  const auto refuses = [&](const std::string& line, const std::function<void()>& surroundings) {
    const auto result = scene.run_probe({"run", "facts"}, surroundings);
    BOOST_TEST(result.end.exited(1));
    BOOST_TEST(result.err == "daemon_probe: " + line + '\n');
  };
  const std::string descriptors = "cannot take over the service manager's descriptors: LISTEN_FDS is ";
  refuses(descriptors + "2, but descriptor 4 is not open", [] {
    pass_descriptors(1, nullptr);
    set("LISTEN_FDS", "2");
  });
  refuses(descriptors + "\"many\", which is no number of descriptors", [] {
    pass_descriptors(1, nullptr);
    set("LISTEN_FDS", "many");
  });
}

// As sd_notify(3).
BOOST_AUTO_TEST_CASE(an_address_that_can_not_be_one_is_reported_and_ignored) {
  const std::string endless = '/' + std::string(200, 'x');
  for (const auto& [address, fault] :
       {std::pair<std::string, std::string>("vsock:2:1",
                                            "sockets of another machine (vsock) are not supported"),
        {"relative", "it is neither an absolute path nor an abstract name"},
        {endless, "the name is too long"}}) {
    Scene scene;
    const char* const name = address.c_str();  // clang 14 captures no structured binding
    const auto result = scene.run_probe({"daemon", "facts"}, [name] { set("NOTIFY_SOCKET", name); });
    BOOST_TEST(result.end.exited(0));
    BOOST_TEST(result.err ==
               "daemon_probe: NOTIFY_SOCKET is ignored: cannot notify the service manager at \"" + address +
                   "\": " + fault + '\n');
    BOOST_TEST(scene.facts().at("mode") == "detached");
  }
}

BOOST_AUTO_TEST_CASE(a_line_end_on_the_given_descriptor_means_ready) {
  for (const std::string detach : {"automatic", "always"}) {
    Scene scene;
    int ends[2];
    BOOST_REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    auto service = scene.start_probe({"daemon", "detach=" + detach, "notify_fd=7", "readiness=notified",
                                      "facts", "ready", "say:ready", "wait"},
                                     [&] { ::dup2(ends[1], 7); });
    ::close(ends[1]);
    const auto facts = scene.facts();
    BOOST_TEST(facts.at("mode") == (detach == "always" ? "detached" : "managed"));
    scene.expect("ready");
    std::array<char, 8> text{};
    BOOST_TEST(::read(ends[0], text.data(), text.size()) == 1);
    BOOST_TEST(text[0] == '\n');
    BOOST_TEST(::read(ends[0], text.data(), text.size()) == 0);  // closed
    ::close(ends[0]);
    ::kill(std::stoi(facts.at("pid")), SIGTERM);
    scene.expect("stop");
    BOOST_TEST(service.finish().end.exited(0));
  }
}

BOOST_AUTO_TEST_CASE(a_descriptor_that_is_not_open_is_refused) {
  Scene scene;
  const auto result = scene.run_probe({"run", "notify_fd=77", "facts"});
  BOOST_TEST(result.end.exited(1));
  BOOST_TEST(result.err == "daemon_probe: start_options.notify_descriptor: descriptor 77 is not open\n");
}

BOOST_AUTO_TEST_CASE(a_signal_can_be_mapped_later) {
  Scene scene;
  scene.run_probe({"daemon", "map:10", "facts", "wait"});
  const pid_t daemon = std::stoi(scene.facts().at("pid"));
  ::kill(daemon, SIGUSR1);
  scene.expect("mapped 10");
  ::kill(daemon, SIGTERM);
  scene.expect("stop");
}

namespace {

// Reads all messages until the last one is `wanted`.
void expect_last(const scene::Listener& manager, const std::string& wanted) {
  std::string last;
  const bool has_come = scene::eventually([&] {
    for (std::string text; (text = manager.next().text) != "nothing";) last = text;
    return last == wanted;
  });
  BOOST_TEST(has_come, last);
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_manager_that_does_not_read_holds_nothing_up) {
  for (const std::string kind : {"umask=22", "respawn=first:1", "delivery=own_thread", "poll"}) {
    Scene scene;
    const scene::Listener manager(scene.path("manager"));
    auto service = scene.start_probe(
        {"daemon", "detach=never", kind == "poll" ? "umask=22" : kind, "pidfile=" + scene.path("pid"),
         "on_reload:say", "say:up", kind == "poll" ? kind : "wait"},
        [&] { set("NOTIFY_SOCKET", manager.name().c_str()); });
    scene.expect("up");
    for (int reload = 0; reload < 20; ++reload) {
      ::kill(service.pid(), SIGHUP);
      scene.expect("reloaded");
    }
    expect_last(manager, "READY=1");
    ::kill(service.pid(), SIGTERM);
    scene.expect("stop");
    BOOST_TEST(service.finish().end.exited(0));
  }
}

// The thread that waits sleeps already when another one's message has no room.
BOOST_AUTO_TEST_CASE(a_thread_that_waits_says_what_another_thread_could_not) {
  Scene scene;
  const scene::Listener manager(scene.path("manager"));
  auto service = scene.start_probe({"daemon", "detach=never", "block:10", "waiting_thread", "await_signal:10",
                                    "statuses:300", "say:sent", "hang"},
                                   [&] { set("NOTIFY_SOCKET", manager.name().c_str()); });
  scene.expect("waits");
  ::kill(service.pid(), SIGUSR1);
  scene.expect("sent");
  expect_last(manager, "STATUS=still 1");
  ::kill(service.pid(), SIGTERM);
  scene.expect("stop");
  ::kill(service.pid(), SIGKILL);
  BOOST_TEST(service.finish().end.killed_by(SIGKILL));
}
