// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE examples

// The small examples, as the README shows them.

#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/filesystem/operations.hpp>
#include <boost/test/unit_test.hpp>
#include <cstring>
#include <sstream>

#include "scene.hpp"

using scene::Scene;

namespace {

struct Example {
  Scene scene;
  std::string socket = scene.path("socket");

  scene::Result run(int argument, scene::Words words) const {
    words.insert(words.begin(), boost::filesystem::absolute(scene::argument(argument)).string());
    return Scene::run(words, [&] {
      if (::chdir(scene.folder().c_str()) != 0) ::_exit(126);
    });
  }

  /// All that the service sends to a client.
  std::string ask() const {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, socket.c_str(), sizeof address.sun_path - 1);
    const int client = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (::connect(client, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
      return ::close(client), std::strerror(errno);
    std::string text;
    char byte = 0;
    while (::read(client, &byte, 1) == 1) text += byte;
    ::close(client);
    return text;
  }
};

}  // namespace

BOOST_FIXTURE_TEST_CASE(a_loop_that_blocks_ends_at_a_stop, Example) {
  BOOST_TEST(run(1, {socket}).end.exited(0));
  BOOST_TEST(ask().find(':') != std::string::npos, ask());
  const pid_t pid = scene::pid_in(scene.path("blocking.pid"));
  ::kill(pid, SIGTERM);
  BOOST_TEST(scene::await_end(pid).exited(0));
  BOOST_TEST(!scene::exists(scene.path("blocking.pid")));
  BOOST_TEST(!scene::exists(socket));
}

BOOST_FIXTURE_TEST_CASE(socket_user_and_log_come_from_the_configuration, Example) {
  const std::string config = scene.path("conf");
  const std::string log = scene.path("log");
  ::chmod(scene.folder().c_str(), 0755);
  const std::string user = ::geteuid() == 0 ? "user = nobody\n" : "";
  const auto configure = [&](const std::string& format) {
    scene::write_file(config, "pidfile = " + scene.path("pid") + "\nlisten = " + socket + "\nlog = " + log +
                                  "\nformat = " + format + '\n' + user);
  };
  scene::write_file(config, "pidfile = " + scene.path("pid") + "\nlisten = nowhere\n");
  const auto refused = run(2, {"start", "--config", config});
  BOOST_TEST(refused.end.exited(2));
  BOOST_TEST(refused.err.find("time_server: " + config + ":2: sockets: ") == 0U, refused.err);
  configure("the year %Y");
  const auto control = [&](const std::string& action) { return run(2, {action, "--config", config}); };
  BOOST_TEST(control("start").err == "");
  BOOST_TEST(ask().find("the year 2") == 0U, ask());
  configure("still %Y");
  BOOST_TEST(control("reload").end.exited(0));
  BOOST_TEST(ask().find("still 2") == 0U);
  ::unlink(config.c_str());
  const std::string monitor = std::to_string(scene::pid_in(scene.path("pid")));
  pid_t worker = 0;
  std::istringstream(scene::contents("/proc/" + monitor + "/task/" + monitor + "/children")) >> worker;
  BOOST_REQUIRE(worker > 0);
  ::kill(worker, SIGSEGV);
  BOOST_TEST(ask().find("still 2") == 0U);  // the connection waits for the next worker
  BOOST_TEST(scene::contents(log).find("was killed by SIGSEGV") != std::string::npos);
  configure("%Y");
  BOOST_TEST(control("stop").end.exited(0));
  BOOST_TEST(!scene::exists(socket));
  BOOST_TEST(run(2, {"status"}).err.find("/etc/time_server.conf") == std::string::npos);
}
