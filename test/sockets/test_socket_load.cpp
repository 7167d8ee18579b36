// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE socket_load

// Clients connect without pause while the worker is killed again and again. The monitor holds the socket, so
// no connection is refused. Only a connection that the killed worker had accepted may break.

#include <signal.h>

#include <array>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <thread>

#include "service.hpp"

using scene::ask;
using scene::connect_to;
using scene::Scene;
using scene::SocketService;

namespace {

constexpr int clients = 8;
constexpr int kills = 20;
constexpr int answers_between_kills = 50;

struct Counts {
  std::atomic<bool> done = false;
  std::atomic<int> answered = 0;
  std::atomic<int> refused = 0;
  std::atomic<int> broken = 0;
  std::atomic<int> wrong = 0;
};

void ask_once(const std::string& address, Counts& counts) {
  const auto peer = connect_to(address);
  if (!peer) {
    ++counts.refused;
    return;
  }
  const char answer = ask(peer, 'a');
  peer.reset_at_close();
  if (answer == 'b') ++counts.answered;
  else if (answer == '-') ++counts.broken;
  else ++counts.wrong;
}

void answer_through_kills(Scene& scene, const std::string& wanted) {
  const scene::Way way{"detached", {"respawn=first:0,factor:1,longest:0,most:1000"}, true};
  SocketService service(scene, way, {"socket=web," + wanted});
  const std::string address = service.begun();
  Counts counts;
  std::array<std::thread, clients> threads;
  for (std::thread& thread : threads) {
    thread = std::thread([&] {
      while (!counts.done) ask_once(address, counts);
    });
  }
  const auto await_answers = [&] {
    const int target = counts.answered + answers_between_kills;
    BOOST_TEST(scene::eventually([&] { return counts.answered >= target; }));
  };
  for (int n = 0; n < kills; ++n) {
    await_answers();
    ::kill(service.worker(), n % 2 == 0 ? SIGKILL : SIGSEGV);
    BOOST_TEST(service.begun() == address);
  }
  await_answers();
  counts.done = true;
  for (std::thread& thread : threads) thread.join();
  service.stop();
  BOOST_TEST(counts.refused == 0);
  BOOST_TEST(counts.wrong == 0);
  BOOST_TEST(counts.broken <= kills);
  BOOST_TEST_MESSAGE(wanted << ": " << counts.answered << " answered, " << counts.broken << " broken by "
                            << kills << " kills");
}

}  // namespace

BOOST_AUTO_TEST_CASE(no_tcp_connection_is_lost_but_those_that_a_killed_worker_had) {
  Scene scene;
  answer_through_kills(scene, "127.0.0.1:0");
}

BOOST_AUTO_TEST_CASE(no_unix_connection_is_lost_but_those_that_a_killed_worker_had) {
  Scene scene;
  answer_through_kills(scene, scene.path("x.sock"));
}
