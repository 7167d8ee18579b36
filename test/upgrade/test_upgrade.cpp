// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE upgrade

// A running service is replaced by a new version of its program.

#include <fcntl.h>
#include <signal.h>

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <thread>

#include "upgrades.hpp"

using daemonctx::DaemonState;
using namespace upgrades;

BOOST_AUTO_TEST_CASE(without_pidfds_an_upgrade_is_refused) {
  if (has_pidfds()) return;
  Scene scene;
  const Service service(scene);
  BOOST_TEST(service.upgrade() == "the kernel has no pidfds, or no descriptor is left");
  BOOST_TEST((service.control().status().state == DaemonState::running));
}

BOOST_AUTO_TEST_SUITE(with_pidfds, *boost::unit_test::precondition([](auto) { return has_pidfds(); }))

BOOST_AUTO_TEST_CASE(the_new_program_becomes_the_service) {
  Scene scene;
  const Service service(scene);
  const pid_t before = service.pid();
  const auto result = service.control().upgrade();
  BOOST_TEST(result.pid != before);
  const auto status = service.control().status();
  BOOST_TEST((status.state == DaemonState::running));
  BOOST_TEST(status.pid == result.pid);
  BOOST_TEST(scene::pid_in(service.pidfile()) == result.pid);
  service.await("ends");
  BOOST_TEST(service.lines("makes room").back() == "makes room " + std::to_string(before));
  BOOST_TEST(scene::await_end(before).exited(0));
  // The same socket.
  BOOST_TEST(service.lines("serves").size() == 2U);
  const std::string first = service.lines("serves").front();
  BOOST_TEST(service.port() == std::stoi(first.substr(first.rfind(' ') + 1)));
  // What the old one offered, the new one offers.
  service.control().reload();
  BOOST_TEST(service.lines("reloads").back() == "reloads " + std::to_string(result.pid));
  BOOST_TEST(service.upgrade().empty());
  const pid_t last = service.pid();
  BOOST_TEST(service.control().stop().pid == last);
  BOOST_TEST(!scene::exists(service.pidfile()));
}

BOOST_AUTO_TEST_CASE(a_service_without_a_pidfile_is_upgraded_by_its_signal) {
  Scene scene;
  const std::string journal = scene.path("journal");
  BOOST_TEST(Scene::run({scene::probe(), "", journal, "20000", "20", "20000", "detach"}).end.exited(0));
  const auto ends_with = [&](const std::string& word) {
    return scene::eventually([&] { return scene::contents(journal).find(word) != std::string::npos; });
  };
  BOOST_TEST_REQUIRE(ends_with("serves "));
  const std::string first = scene::contents(journal).substr(std::string("serves ").size());
  const pid_t before = std::stoi(first);
  ::kill(before, SIGUSR2);
  BOOST_TEST(ends_with("makes room " + std::to_string(before)));
  BOOST_TEST(scene::await_end(before).exited(0));
  BOOST_TEST(scene::contents(journal).find("serves ", 7) != std::string::npos);
}

BOOST_AUTO_TEST_CASE(no_connection_is_lost_by_an_upgrade) {
  Scene scene;
  const Service service(scene);
  upgrade_under_load(service);
}

// Its clients would wait for ever.
BOOST_AUTO_TEST_CASE(a_socket_that_the_new_version_does_not_have_is_closed) {
  Scene scene;
  const Service service(scene);
  const pid_t before = service.pid();
  const int port = service.port();
  BOOST_TEST_REQUIRE(service.upgrade(make_version(scene, "other_socket")) == "");
  service.await("ends");
  BOOST_TEST(scene::await_end(before).exited(0));
  BOOST_TEST(service.port() != port);
  Clients clients(port);
  BOOST_TEST(scene::eventually([&] { return clients.refused() > 0; }));
  clients.finish();
  BOOST_TEST(clients.answered() + clients.broken() == 0);
}

BOOST_AUTO_TEST_CASE(a_bad_version_leaves_the_old_one_in_service) {
  Scene scene;
  const Service service(scene, {.probation = 1000});
  for (int round = 0; round < std::max(1, rounds() / 200); ++round) {
    for (const Bad& each : bad_versions) try_version(scene, service, each);
  }
}

BOOST_AUTO_TEST_CASE(a_version_that_hangs_leaves_the_old_one_in_service) {
  Scene scene;
  const Service service(scene, {.ready = 200});
  try_version(scene, service, {"hangs", "it was not ready within 200 ms"});
}

BOOST_AUTO_TEST_CASE(no_start_gets_in_between) {
  Scene scene;
  const Service service(scene);
  start_meanwhile(service);
}

BOOST_AUTO_TEST_CASE(a_stop_at_any_moment_ends_the_service) {
  disturb("detach", [](const Service& service, pid_t) {
    BOOST_TEST(service.control().stop().pid != 0);
    std::error_code error;
    const auto status = service.control().status();
    BOOST_TEST((status.state == DaemonState::stopped), "state " << static_cast<int>(status.state));
    BOOST_TEST(!scene::exists(service.pidfile()));
    service.control().stop(daemonctx::stop_policy(), error);
    BOOST_TEST((error == std::errc::no_such_process));
  });
}

BOOST_AUTO_TEST_CASE(a_reload_at_any_moment_has_a_true_outcome) {
  disturb("detach", [](const Service& service, pid_t) {
    const auto before = service.lines("reloads").size();
    std::error_code error;
    service.control().reload(std::chrono::seconds(20), error);
    if (!error) BOOST_TEST(service.lines("reloads").size() > before);
    else
      BOOST_TEST((error == std::errc::operation_canceled || error == std::errc::no_such_process),
                 error.message());
  });
}

BOOST_AUTO_TEST_CASE(a_second_upgrade_at_any_moment_is_refused_or_done) {
  disturb("detach", [](const Service& service, pid_t) {
    const auto result = Scene::run({scene::argument(3), service.pidfile()});
    const bool is_done = result.end.exited(0);
    const bool is_busy = result.err.find("another upgrade is under way") != std::string::npos;
    BOOST_TEST((is_done || is_busy), result.err);
  });
}

// The new one, which the test has adopted; 0: there is none yet.
pid_t successor_of(pid_t old) {
  for (const pid_t child : scene::children()) {
    if (child != old &&
        scene::contents("/proc/" + std::to_string(child) + "/cmdline").find("detach") != std::string::npos)
      return child;
  }
  return 0;
}

BOOST_AUTO_TEST_CASE(a_kill_of_the_new_one_at_any_moment_leaves_one_service) {
  for (const int moment : moments()) {
    BOOST_TEST_CONTEXT("moment " << moment) {
      Scene scene;
      const Service service(scene, {.probation = 300});
      const pid_t old = service.pid();
      std::string outcome;
      std::thread upgrade([&] { outcome = service.upgrade(); });
      pid_t successor = 0;
      BOOST_TEST(scene::eventually([&] { return (successor = successor_of(old)) != 0; }));
      std::this_thread::sleep_for(std::chrono::milliseconds(moment));
      ::kill(successor, SIGKILL);
      upgrade.join();
      BOOST_TEST(outcome.find("the new program") != std::string::npos, outcome);
      BOOST_TEST(service.pid() == old);
      BOOST_TEST((service.control().status().state == DaemonState::running));
      BOOST_TEST(service.upgrade() == "");
    }
  }
}

BOOST_AUTO_TEST_CASE(an_upgrade_that_cannot_work_is_refused) {
  Scene scene;
  const auto refusal = [&](const std::string& how) {
    const Service service(scene, {}, how);
    const std::string reason = service.upgrade();
    BOOST_TEST((service.control().status().state == DaemonState::running));
    return reason;
  };
  BOOST_TEST(refusal("stay") ==
             "the program that started it would take its end for the end of the service (mode foreground)");
  BOOST_TEST(refusal("root") == "it has another root directory, in which the program is not");
}

// Takes a read lock in the moment between the two versions, in which no process has marked itself ready.
bool lock_between(int file, const std::atomic<bool>& is_over) {
  struct flock readiness {};
  readiness.l_type = F_RDLCK;
  readiness.l_start = 2;
  readiness.l_len = 1;
  while (!is_over) {
    if (::fcntl(file, F_OFD_SETLK, &readiness) == 0) return true;
  }
  return false;
}

// A reader keeps it from marking itself ready. It must not serve on where no command finds it.
BOOST_AUTO_TEST_CASE(a_new_version_that_cannot_take_the_pidfile_ends) {
  Scene scene;
  const Service service(scene, {.probation = 100});
  const int file = ::open(service.pidfile().c_str(), O_RDONLY | O_CLOEXEC);
  std::atomic<bool> is_over = false;
  std::thread upgrade;
  pid_t old = 0;
  pid_t successor = 0;
  for (bool is_locked = false; !is_locked;) {  // the new version may be faster
    if (upgrade.joinable()) {
      upgrade.join();
      scene::await_end(old);
    }
    is_over = false;
    old = service.pid();
    upgrade = std::thread([&] {
      service.upgrade();
      is_over = true;
    });
    BOOST_TEST_REQUIRE(scene::eventually([&] { return (successor = successor_of(old)) != 0; }));
    is_locked = lock_between(file, is_over);
  }
  ::kill(old, SIGKILL);
  scene::await_end(successor);
  upgrade.join();
  BOOST_TEST((service.control().status().state == DaemonState::stale));
  ::close(file);
  BOOST_TEST(Scene::run(service.words()).end.exited(0));
}

// Before the probation ends the other one serves, after it the new one; never two, and never none.
BOOST_AUTO_TEST_CASE(a_kill_of_the_old_one_at_any_moment_leaves_one_service) {
  int taken_over = 0;
  disturb("detach", [&](const Service& service, pid_t old) {
    ::kill(old, SIGSTOP);
    const pid_t successor = successor_of(old);
    ::kill(old, SIGKILL);
    scene::await_end(old);
    if (successor == 0) return;
    ++taken_over;
    BOOST_TEST(scene::eventually([&] {
      const auto status = service.control().status();
      return status.state == DaemonState::running && status.pid == successor;
    }));
    BOOST_TEST(scene::pid_in(service.pidfile()) == successor);
    BOOST_TEST(service.upgrade() == "");
  });
  BOOST_TEST(taken_over > 0);
}

BOOST_AUTO_TEST_SUITE_END()
