// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE asio

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <sstream>

#include "listener.hpp"
#include "scene.hpp"

using scene::Scene;

namespace {

struct Stage {
  Scene scene;
  std::string pidfile = scene.path("pid");
  std::string log = scene.path("log");
  pid_t daemon = 0;

  void start(const std::string& style) {
    const auto result = Scene::run({scene::argument(1), log, pidfile, style});
    BOOST_TEST(result.err == "");
    BOOST_REQUIRE(result.end.exited(0));
    daemon = scene::pid_in(pidfile);
    BOOST_REQUIRE(daemon > 0);
    expect("waits\n");
  }
  void expect(const std::string& text) const {
    BOOST_TEST(scene::eventually([&] { return scene::contents(log).find(text) != std::string::npos; }),
               text << " was not said: " << scene::contents(log));
  }
  void send(int value) const {
    sigval carried{};
    carried.sival_int = value;
    BOOST_TEST(::sigqueue(daemon, SIGUSR1, carried) == 0);
  }
  void stop() const {
    ::kill(daemon, SIGTERM);
    BOOST_TEST(scene::await_end(daemon).exited(0));
    BOOST_TEST(!scene::exists(pidfile));
  }
};

bool has_coroutines() {
  const bool has = boost::unit_test::framework::master_test_suite().argc > 2;
  if (!has) BOOST_TEST_MESSAGE("skipped: Boost.Asio has no coroutines with this compiler");
  return has;
}

int connect_to(unsigned short port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  BOOST_REQUIRE(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  return fd;
}

}  // namespace

BOOST_FIXTURE_TEST_CASE(callbacks_run_again_and_again_until_they_are_cancelled, Stage) {
  start("callbacks");
  for (int value = 1; value <= 20; ++value) {
    send(value);
    expect("signal 10 value " + std::to_string(value) + '\n');
  }
  ::kill(daemon, SIGHUP);
  expect("reloaded\n");
  stop();
  expect("stop\ncancelled\n");
}

BOOST_FIXTURE_TEST_CASE(futures_are_fulfilled, Stage) {
  start("futures");
  send(7);
  expect("signal 10 value 7\n");
  stop();
  expect("stop\n");
}

BOOST_FIXTURE_TEST_CASE(concurrent_operations_take_nothing_from_each_other, Stage) {
  start("pairs");
  expect("all pairs\n");
  stop();
}

BOOST_FIXTURE_TEST_CASE(the_loop_notifies_the_watchdog, Stage) {
  const scene::Listener manager(scene.path("socket"));
  auto service = Scene::start({scene::argument(1), log, pidfile, "callbacks"}, [&] {
    ::setenv("NOTIFY_SOCKET", manager.name().c_str(), 1);
    ::setenv("WATCHDOG_USEC", "100000", 1);
  });
  BOOST_TEST(manager.await().text == "READY=1");
  for (int n = 0; n < 5; ++n) BOOST_TEST(manager.await().text == "WATCHDOG=1");
  ::kill(service.pid(), SIGTERM);
  // The loop has run out of work, although its watchdog timer would be due.
  BOOST_TEST(service.finish().end.exited(0));
}

BOOST_FIXTURE_TEST_CASE(coroutines_are_resumed_and_no_signal_between_two_waits_is_lost, Stage) {
  if (!has_coroutines()) return;
  start("coroutines");
  send(1);
  expect("signal 10 value 1\n");
  send(2);
  expect("signal 10 value 2\n");
  send(3);  // no coroutine waits for this signal, which does no harm
  stop();
  expect("stop\nstill\n");
}

BOOST_FIXTURE_TEST_CASE(an_acceptor_takes_those_who_wait_before_it_closes, Stage) {
  start("accepts");
  stop();
  BOOST_TEST(scene::contents(log) ==
             "connection 1\nrests\nconnection 2\nconnection 3\nclosed\nwaits\nstop\n");
}

BOOST_FIXTURE_TEST_CASE(a_loop_made_before_the_fork_goes_on_in_the_daemon, Stage) {
  start("before");
  expect("timer\nbytes\n");
  send(1);
  expect("signal 10 value 1\n");
  stop();
  expect("stop\ncancelled\n");
}

BOOST_FIXTURE_TEST_CASE(a_server_stops_cleanly_with_connections_open, Stage) {
  if (!has_coroutines()) return;
  const auto result = Scene::run({scene::argument(2), pidfile, log, "0"});
  BOOST_TEST(result.err == "");
  BOOST_REQUIRE(result.end.exited(0));
  const std::string announced = "listening on port ";
  BOOST_REQUIRE(result.out.rfind(announced, 0) == 0U);
  const auto port = static_cast<unsigned short>(std::stoi(result.out.substr(announced.size())));
  daemon = scene::pid_in(pidfile);
  BOOST_REQUIRE(daemon > 0);
  std::array<int, 3> clients{};
  for (int& client : clients) client = connect_to(port);
  for (const int client : clients) {
    std::array<char, 5> text{};
    BOOST_TEST(::send(client, "hello", 5, 0) == 5);
    BOOST_TEST(::recv(client, text.data(), text.size(), MSG_WAITALL) == 5);
    BOOST_TEST(std::string(text.data(), text.size()) == "hello");
  }
  ::kill(daemon, SIGUSR1);
  expect("3 connections\n");
  stop();
  expect("stopped with 3 connections\n");
  for (const int client : clients) {
    char byte = 0;
    BOOST_TEST(::recv(client, &byte, 1, 0) <= 0);
    ::close(client);
  }
}
