// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE upgrade_in_place

// A service with a monitor is replaced by a new version of its program: worker and monitor, in the same pid.

#include <signal.h>

#include <boost/test/unit_test.hpp>
#include <thread>

#include "upgrades.hpp"

using daemonctx::DaemonState;
using namespace upgrades;

namespace {

// The worker that the test sees beside the old one; 0: there is none.
pid_t new_worker(const Service& service, pid_t old) {
  const std::string monitor = std::to_string(service.pid());
  const std::string list = scene::contents("/proc/" + monitor + "/task/" + monitor + "/children");
  std::istringstream words(list);
  for (pid_t child = 0; words >> child;) {
    if (child != old) return child;
  }
  return 0;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(with_pidfds, *boost::unit_test::precondition([](auto) { return has_pidfds(); }))

BOOST_AUTO_TEST_CASE(the_pid_stays_and_the_worker_is_of_the_new_program) {
  Scene scene;
  const Service service(scene, {}, "monitor");
  const pid_t monitor = service.pid();
  const pid_t before = service.server();
  const int port = service.port();
  BOOST_TEST(service.control().upgrade().pid == monitor);
  service.await("serves", 2);
  BOOST_TEST(service.port() == port);
  service.await("ends");
  BOOST_TEST(service.server() != before);
  BOOST_TEST(service.lines("makes room").back() == "makes room " + std::to_string(before));
  const auto status = service.control().status();
  BOOST_TEST((status.state == DaemonState::running));
  BOOST_TEST(status.pid == monitor);
  BOOST_TEST(scene::pid_in(service.pidfile()) == monitor);
  BOOST_TEST_REQUIRE(status.worker.has_value());
  BOOST_TEST(status.worker->worker_number == 2U);
  BOOST_TEST(status.worker->since.has_value());
  BOOST_TEST(!status.worker->last_worker_end.has_value());
  // What the old one offered, the new one offers.
  service.control().reload();
  BOOST_TEST(service.lines("reloads").back() == "reloads " + std::to_string(service.server()));
  BOOST_TEST(service.upgrade() == "");
  BOOST_TEST(service.control().stop().pid == monitor);
  BOOST_TEST(!scene::exists(service.pidfile()));
}

BOOST_AUTO_TEST_CASE(a_service_in_the_foreground_is_upgraded) {
  Scene scene;
  const Service service(scene, {}, "stay-monitor");
  const pid_t monitor = service.pid();
  for (int count = 0; count < 3; ++count) {
    const pid_t before = service.server();
    BOOST_TEST(service.upgrade() == "");
    BOOST_TEST(scene::eventually([&] { return service.server() != before; }));
  }
  BOOST_TEST(service.pid() == monitor);
  service.control().reload();
}

BOOST_AUTO_TEST_CASE(no_connection_is_lost_by_an_upgrade) {
  Scene scene;
  const Service service(scene, {}, "monitor");
  upgrade_under_load(service);
}

BOOST_AUTO_TEST_CASE(a_worker_that_crashes_later_is_followed_by_one_of_the_new_program) {
  Scene scene;
  const Service service(scene, {}, "monitor");
  BOOST_TEST_REQUIRE(service.upgrade(make_version(scene, "new_socket")) == "");
  const int port = service.port();
  service.await("ends");
  ::kill(service.server(), SIGSEGV);
  service.await("serves", 3);
  BOOST_TEST(service.port() == port);  // the one that only the new program has
  const auto status = service.control().status();
  BOOST_TEST(status.worker->worker_number == 3U);
  BOOST_TEST(status.worker->last_worker_end->signal == SIGSEGV);
}

BOOST_AUTO_TEST_CASE(a_bad_version_leaves_the_old_one_in_service) {
  Scene scene;
  const Service service(scene, {.probation = 1000}, "monitor");
  for (int round = 0; round < std::max(1, rounds() / 200); ++round) {
    for (const Bad& each : bad_versions) try_version(scene, service, each);
  }
  try_version(scene, service,
              {"no_monitor", "it has a monitor, and this program has none; it needs a restart"});
}

BOOST_AUTO_TEST_CASE(a_version_that_hangs_leaves_the_old_one_in_service) {
  Scene scene;
  const Service service(scene, {.ready = 200}, "monitor");
  try_version(scene, service, {"hangs", "it was not ready within 200 ms"});
}

// The new worker has proved itself, but the monitor's own process does not come as far as that.
BOOST_AUTO_TEST_CASE(a_monitor_that_cannot_be_of_the_new_program_stays_of_the_old_one) {
  Scene scene;
  const Service service(scene, {}, "monitor");
  const pid_t monitor = service.pid();
  try_version(scene, service, {"monitor_exits", "the new program ended before it took over"});
  try_version(scene, service,
              {"monitor_is_refused",
               "cannot open the file \"/missing/monitor_is_refused\": No such file or directory"});
  BOOST_TEST(service.pid() == monitor);
  BOOST_TEST(service.upgrade() == "");
}

BOOST_AUTO_TEST_CASE(no_start_gets_in_between) {
  Scene scene;
  const Service service(scene, {}, "monitor");
  start_meanwhile(service);
}

BOOST_AUTO_TEST_CASE(a_stop_at_any_moment_ends_the_service) {
  disturb("monitor", [](const Service& service, pid_t) {
    const pid_t monitor = service.pid();
    BOOST_TEST(service.control().stop().pid == monitor);
    BOOST_TEST((service.control().status().state == DaemonState::stopped));
    BOOST_TEST(!scene::exists(service.pidfile()));
  });
}

BOOST_AUTO_TEST_CASE(a_reload_at_any_moment_has_a_true_outcome) {
  disturb("monitor", [](const Service& service, pid_t) {
    const auto before = service.lines("reloads").size();
    std::error_code error;
    service.control().reload(std::chrono::seconds(20), error);
    BOOST_TEST(!error, error.message());
    BOOST_TEST(service.lines("reloads").size() > before);
  });
}

BOOST_AUTO_TEST_CASE(a_second_upgrade_at_any_moment_is_refused_or_done) {
  disturb("monitor", [](const Service& service, pid_t) {
    const auto result = Scene::run({scene::argument(3), service.pidfile()});
    const bool is_done = result.end.exited(0);
    const bool is_busy = result.err.find("another upgrade is under way") != std::string::npos;
    BOOST_TEST((is_done || is_busy), result.err);
  });
}

BOOST_AUTO_TEST_CASE(a_kill_of_either_worker_at_any_moment_leaves_one_service) {
  for (const bool kills_new : {true, false}) {
    disturb("monitor", [&](const Service& service, pid_t old) {
      const pid_t victim = kills_new ? new_worker(service, old) : old;
      if (victim != 0) ::kill(victim, SIGKILL);
      BOOST_TEST(scene::eventually([&] {
        const auto status = service.control().status();
        return status.state == DaemonState::running && status.worker && status.worker->since;
      }));
      Clients clients(service.port());
      BOOST_TEST(scene::eventually([&] { return clients.answered() > 10; }));
      clients.finish();
      BOOST_TEST(clients.refused() == 0);
    });
  }
}

BOOST_AUTO_TEST_SUITE_END()
