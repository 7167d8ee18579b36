// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE notify
#include "notify.hpp"

#include <stdlib.h>
#include <unistd.h>

#include <array>
#include <boost/test/unit_test.hpp>
#include <cstddef>
#include <cstring>
#include <ctime>

#include "scene.hpp"

using daemonctx::Notify;

namespace {

// A datagram socket at a path, or at an abstract name that begins with '@'.
class Listener {
 public:
  explicit Listener(const std::string& name)
      : fd_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, name.data(), name.size());
    if (name[0] == '@') address.sun_path[0] = '\0';
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
    BOOST_REQUIRE(::bind(fd_, reinterpret_cast<const sockaddr*>(&address), size) == 0);
    ::setenv("NOTIFY_SOCKET", name.c_str(), 1);
  }
  ~Listener() { ::close(fd_); }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  // A datagram on a local socket has arrived when send returns.
  std::string next() const {
    std::array<char, 8192> message{};
    const auto size = ::recv(fd_, message.data(), message.size(), 0);
    return size < 0 ? "nothing" : std::string(message.data(), static_cast<std::size_t>(size));
  }

 private:
  int fd_;
};

Notify adopted() {
  Notify notify;
  notify.adopt_environment();
  return notify;
}

}  // namespace

BOOST_AUTO_TEST_CASE(speaks_to_a_path_and_to_an_abstract_name_byte_for_byte) {
  const scene::Scene scene;
  for (const std::string& name : {scene.path("socket"), "@daemonctx-test-" + std::to_string(::getpid())}) {
    const Listener manager(name);
    const Notify notify = adopted();
    notify.ready(0);
    BOOST_TEST(manager.next() == "READY=1");
    notify.ready(42);
    BOOST_TEST(manager.next() == "MAINPID=42\nREADY=1");
    notify.stopping();
    BOOST_TEST(manager.next() == "STOPPING=1");
    notify.watchdog();
    BOOST_TEST(manager.next() == "WATCHDOG=1");
    notify.status("two\nlines");
    BOOST_TEST(manager.next() == "STATUS=two lines");
  }
}

BOOST_AUTO_TEST_CASE(tells_the_time_of_a_reload_in_the_same_datagram) {
  const scene::Scene scene;
  const Listener manager(scene.path("socket"));
  const Notify notify = adopted();
  const auto now = [] {
    timespec time{};
    ::clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1'000'000LL + time.tv_nsec / 1'000;
  };
  const auto before = now();
  notify.reloading();
  const std::string message = manager.next();
  const std::string start = "RELOADING=1\nMONOTONIC_USEC=";
  BOOST_REQUIRE(message.substr(0, start.size()) == start);
  const long long told = std::stoll(message.substr(start.size()));
  BOOST_TEST(told >= before);
  BOOST_TEST(told <= now());
}

BOOST_AUTO_TEST_CASE(a_long_status_is_cut) {
  const scene::Scene scene;
  const Listener manager(scene.path("socket"));
  adopted().status(std::string(100000, 'x'));
  const std::string message = manager.next();
  BOOST_TEST(message.substr(0, 8) == "STATUS=x");
  BOOST_TEST(message.size() <= 4096U);
}

BOOST_AUTO_TEST_CASE(the_variable_is_gone_afterwards) {
  const scene::Scene scene;
  const Listener manager(scene.path("socket"));
  Notify notify = adopted();
  Notify::clear_environment();
  BOOST_TEST(::getenv("NOTIFY_SOCKET") == nullptr);
  notify.stopping();
  BOOST_TEST(manager.next() == "STOPPING=1");
  notify.forget();
  notify.stopping();
  BOOST_TEST(manager.next() == "nothing");
}

BOOST_AUTO_TEST_CASE(without_a_manager_nothing_happens) {
  for (const std::string& name : {std::string("relative"), std::string("/nowhere/at/all"),
                                  "/" + std::string(200, 'x'), std::string("vsock:2:1"), std::string()}) {
    ::setenv("NOTIFY_SOCKET", name.c_str(), 1);
    adopted().ready(0);
  }
  ::unsetenv("NOTIFY_SOCKET");
  BOOST_CHECK_NO_THROW(adopted().stopping());
}
