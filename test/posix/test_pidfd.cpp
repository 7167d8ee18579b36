// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE pidfd
#include "posix/pidfd.hpp"

#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <thread>

#include "scene.hpp"

using namespace daemonctx;

BOOST_AUTO_TEST_CASE(the_kernel_tells_an_end_while_another_reaps_the_process) {
  constexpr int rounds = 3000;  // one in 500 asks in the very moment of the reaping
  int told = 0;
  int expected = 0;
  for (int i = 0; i < rounds; ++i) {
    const pid_t pid = ::fork();
    if (pid == 0) ::_exit(::getppid() % 2);
    const UniqueFd process = posix::open_pidfd(pid);
    std::thread reaper([pid] { ::waitpid(pid, nullptr, 0); });
    pollfd ended{process.get(), POLLIN, 0};
    if (process) ::poll(&ended, 1, -1);
    const auto status = posix::wait_status_of(process);
    reaper.join();
    if (process && scene::kernel_tells_ends()) ++expected;
    if (status && WIFEXITED(*status) && WEXITSTATUS(*status) == ::getpid() % 2) ++told;
  }
  BOOST_TEST(told == expected);
}
