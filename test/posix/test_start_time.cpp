// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE start_time
#include "posix/start_time.hpp"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>

#include "scene.hpp"

using daemonctx::posix::start_time;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_CASE(the_start_time_is_when_the_process_began) {
  const scene::Scene scene;
  const auto before = std::chrono::system_clock::now();
  const pid_t child = ::fork();
  if (child == 0) {
    ::prctl(PR_SET_NAME, ") 1 2 3 (");  // /proc holds the name, unescaped, before the time
    scene::write_file(scene.path("named"), "");
    for (;;) ::pause();
  }
  BOOST_TEST(scene::eventually([&] { return scene::exists(scene.path("named")); }));
  const auto start = start_time(child);
  BOOST_REQUIRE(start.has_value());
  BOOST_TEST((*start > before - 50ms && *start < std::chrono::system_clock::now() + 50ms));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  BOOST_TEST(!start_time(child).has_value());
}
