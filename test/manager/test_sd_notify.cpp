// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE sd_notify
#include "manager/sd_notify.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <boost/test/unit_test.hpp>
#include <ctime>
#include <thread>

#include "process/fork_handlers.hpp"

#include "listener.hpp"
#include "scene.hpp"

using daemonctx::SdNotify;
using scene::Datagram;
using scene::Listener;
using namespace std::chrono_literals;

namespace {

struct Stage {
  scene::Scene scene;
  Listener manager{scene.path("socket")};
  SdNotify notify;

  Stage() { BOOST_TEST(notify.open(manager.name()) == 0); }
};

long long now_in_microseconds() {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1'000'000LL + time.tv_nsec / 1'000;
}

}  // namespace

BOOST_AUTO_TEST_CASE(messages_reach_a_path_and_an_abstract_name_byte_for_byte) {
  const scene::Scene scene;
  for (const std::string& name : {scene.path("socket"), "@daemonctx-test-" + std::to_string(::getpid())}) {
    const Listener manager(name);
    SdNotify notify;
    BOOST_TEST(notify.open(name) == 0);
    notify.ready(0);
    const Datagram first = manager.next();
    BOOST_TEST(first.text == "READY=1");
    BOOST_TEST(first.pid == ::getpid());
    BOOST_TEST(first.uid == ::getuid());
    notify.ready(42);
    BOOST_TEST(manager.next().text == "MAINPID=42\nREADY=1");
    notify.stopping();
    BOOST_TEST(manager.next().text == "STOPPING=1");
    notify.ping();
    BOOST_TEST(manager.next().text == "WATCHDOG=1");
    notify.status("two\nlines");
    BOOST_TEST(manager.next().text == "STATUS=two lines");
    notify.failure(2, "no such\nkey");
    BOOST_TEST(manager.next().text == "ERRNO=2\nSTATUS=no such key");
    notify.extend_timeout(1500ms);
    notify.extend_timeout(-1s);
    notify.extend_timeout(std::chrono::hours::max());
    BOOST_TEST(manager.next().text == "EXTEND_TIMEOUT_USEC=1500000");
    BOOST_TEST(manager.next().text == "EXTEND_TIMEOUT_USEC=0");
    BOOST_TEST(manager.next().text == "EXTEND_TIMEOUT_USEC=9223372036854775");
    BOOST_TEST(notify.remove_stored("web") == 0);
    BOOST_TEST(manager.next().text == "FDSTOREREMOVE=1\nFDNAME=web");
    BOOST_TEST(manager.next().text == "nothing");
  }
}

BOOST_FIXTURE_TEST_CASE(a_reload_and_its_time_are_sent_in_one_datagram, Stage) {
  const auto before = now_in_microseconds();
  notify.reloading();
  const std::string message = manager.next().text;
  const std::string start = "RELOADING=1\nMONOTONIC_USEC=";
  BOOST_REQUIRE(message.substr(0, start.size()) == start);
  const long long told = std::stoll(message.substr(start.size()));
  BOOST_TEST(told >= before);
  BOOST_TEST(told <= now_in_microseconds());
}

BOOST_FIXTURE_TEST_CASE(store_sends_the_descriptor, Stage) {
  BOOST_TEST(notify.store("web", STDIN_FILENO) == 0);
  const Datagram message = manager.next();
  BOOST_TEST(message.text == "FDSTORE=1\nFDNAME=web");
  struct stat sent {};
  struct stat received {};
  BOOST_REQUIRE(message.descriptor);
  BOOST_TEST(::fstat(STDIN_FILENO, &sent) == 0);
  BOOST_TEST(::fstat(message.descriptor.get(), &received) == 0);
  BOOST_TEST(sent.st_ino == received.st_ino);
}

BOOST_FIXTURE_TEST_CASE(a_barrier_ends_when_the_manager_closes_its_descriptor, Stage) {
  BOOST_TEST(notify.barrier(1ms) == ETIMEDOUT);
  BOOST_TEST(manager.next().text == "BARRIER=1");
  std::thread reader([&] {
    notify.status("before");
    BOOST_TEST(notify.barrier(scene::patience) == 0);
  });
  while (manager.next().text != "BARRIER=1") std::this_thread::yield();  // also closes its descriptor
  reader.join();
}

BOOST_FIXTURE_TEST_CASE(a_long_status_is_cut, Stage) {
  notify.status(std::string(100000, 'x'));
  const std::string message = manager.next().text;
  BOOST_TEST(message.substr(0, 8) == "STATUS=x");
  BOOST_TEST(message.size() <= 4096U);
}

BOOST_FIXTURE_TEST_CASE(a_status_is_not_cut_within_a_character, Stage) {
  for (const std::string before : {"", "x"}) {
    std::string text = before;
    while (text.size() < 5000) text += "\u20ac";  // three bytes
    notify.status(text);
    const std::string message = manager.next().text;
    BOOST_TEST(message.size() >= 1000U);
    BOOST_TEST((message.size() - std::string("STATUS=").size() - before.size()) % 3 == 0U);
  }
}

BOOST_FIXTURE_TEST_CASE(a_restarted_manager_is_found_again, Stage) {
  notify.ready(0);
  BOOST_TEST(manager.next().text == "READY=1");
  ::unlink(manager.name().c_str());
  manager.close();
  notify.stopping();  // nobody listens
  const Listener next(manager.name());
  notify.stopping();
  BOOST_TEST(next.next().text == "STOPPING=1");
}

BOOST_FIXTURE_TEST_CASE(a_forked_child_sends_nothing, Stage) {
  daemonctx::process::register_fork_handlers();
  const pid_t child = ::fork();
  if (child == 0) {
    notify.stopping();
    ::_exit(notify.barrier(scene::patience) == ENOTCONN ? 0 : 1);
  }
  BOOST_TEST(scene::await_end(child).exited(0));
  BOOST_TEST(manager.next().text == "nothing");
}

BOOST_AUTO_TEST_CASE(a_ping_is_due_at_half_time) {
  const scene::Scene scene;
  const Listener manager(scene.path("socket"));
  SdNotify notify;
  BOOST_TEST(notify.open(manager.name()) == 0);
  BOOST_TEST((notify.next_ping() == std::chrono::steady_clock::time_point::max()));
  notify.ping_if_due();
  BOOST_TEST(manager.next().text == "nothing");
  notify.watch(10h);
  const auto in = notify.next_ping() - std::chrono::steady_clock::now();
  BOOST_TEST((in > 4h && in <= 5h));
  notify.ping_if_due();
  BOOST_TEST(manager.next().text == "nothing");
  notify.watch(1ns);
  notify.ping_if_due();
  BOOST_TEST(manager.next().text == "WATCHDOG=1");
}

BOOST_AUTO_TEST_CASE(a_wrong_address_has_a_fault) {
  BOOST_TEST(SdNotify::fault_of("") == "");
  BOOST_TEST(SdNotify::fault_of("@abstract") == "");
  BOOST_TEST(SdNotify().open("/nowhere/at/all") == 0);  // nobody listens there, which is no error
  BOOST_TEST(SdNotify::fault_of("vsock:2:1234") == "sockets of another machine (vsock) are not supported");
  BOOST_TEST(SdNotify::fault_of("relative") == "it is neither an absolute path nor an abstract name");
  BOOST_TEST(SdNotify::fault_of('/' + std::string(106, 'x')) == "");
  BOOST_TEST(SdNotify::fault_of('/' + std::string(107, 'x')) == "the name is too long");
}

namespace {

// Sends messages that need not be kept, until there is no room for another.
void fill(const SdNotify& notify) {
  int error = 0;
  while (error == 0) error = notify.send("WATCHDOG=1");
  BOOST_REQUIRE(error == EAGAIN);
}

scene::Words rest(const Listener& manager) {
  scene::Words texts;
  for (std::string text; (text = manager.next().text) != "nothing";) {
    if (text != "WATCHDOG=1") texts.push_back(text);
  }
  return texts;
}

}  // namespace

BOOST_FIXTURE_TEST_CASE(what_a_manager_had_no_room_for_is_said_later_and_the_latest_wins, Stage) {
  fill(notify);
  BOOST_TEST((notify.next_retry() == std::chrono::steady_clock::time_point::max()));
  notify.reloading();
  notify.status("first");
  BOOST_TEST(notify.ready(0) == 0);
  notify.status("second");
  BOOST_TEST((notify.next_retry() <= std::chrono::steady_clock::now() + 100ms));
  BOOST_TEST(rest(manager).empty());
  notify.ping_if_due();
  const auto said = rest(manager);
  BOOST_REQUIRE(said.size() == 3U);
  BOOST_TEST(said[0].rfind("RELOADING=1\nMONOTONIC_USEC=", 0) == 0U, said[0]);
  BOOST_TEST(said[1] == "READY=1");
  BOOST_TEST(said[2] == "STATUS=second");
  BOOST_TEST((notify.next_retry() == std::chrono::steady_clock::time_point::max()));
  notify.ping_if_due();
  BOOST_TEST(rest(manager).empty());
}

BOOST_FIXTURE_TEST_CASE(a_kept_state_is_said_before_a_newer_one, Stage) {
  fill(notify);
  notify.ready(0);
  rest(manager);  // there is room again
  notify.stopping();
  BOOST_TEST((rest(manager) == scene::Words{"READY=1", "STOPPING=1"}));
}

BOOST_FIXTURE_TEST_CASE(no_state_is_said_after_a_kept_stopping, Stage) {
  fill(notify);
  notify.stopping();
  notify.reloading();
  notify.ready(0);
  rest(manager);
  notify.say_unsaid();
  BOOST_TEST((rest(manager) == scene::Words{"STOPPING=1"}));
}

// A monitor pings when its worker does, and not when it is due.
BOOST_FIXTURE_TEST_CASE(a_ping_without_room_is_repeated, Stage) {
  fill(notify);
  notify.watch(10s);
  notify.ping();
  BOOST_TEST((notify.next_retry() <= std::chrono::steady_clock::now() + 100ms));
  while (manager.next().text != "nothing") continue;
  notify.say_unsaid();
  BOOST_TEST(manager.next().text == "WATCHDOG=1");
  BOOST_TEST(manager.next().text == "nothing");
  BOOST_TEST((notify.next_retry() == std::chrono::steady_clock::time_point::max()));
}

// A worker must not take a monitor that has no message for one that reads it later.
BOOST_AUTO_TEST_CASE(a_barrier_tells_a_message_that_was_not_sent_from_one_that_was_not_read) {
  std::array<int, 2> ends{};
  BOOST_TEST_REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) == 0);
  const daemonctx::UniqueFd monitor(ends[0]);
  const timeval at_once{0, 1000};
  BOOST_TEST(::setsockopt(ends[1], SOL_SOCKET, SO_SNDTIMEO, &at_once, sizeof at_once) == 0);
  SdNotify notify;
  notify.adopt(daemonctx::UniqueFd(ends[1]));
  BOOST_TEST(notify.barrier(20ms) == ETIMEDOUT);
  while (::send(ends[1], "full", 4, 0) != -1) continue;
  BOOST_TEST(notify.barrier(20ms) == EAGAIN);
}

BOOST_FIXTURE_TEST_CASE(a_barrier_waits_for_room, Stage) {
  fill(notify);
  BOOST_TEST(notify.barrier(20ms) == ETIMEDOUT);
  notify.status("before");
  const std::jthread reads([&](const std::stop_token& over) {
    while (!over.stop_requested()) manager.next();
  });
  BOOST_TEST(notify.barrier(10s) == 0);
}
