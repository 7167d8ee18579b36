// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE proc_fs
#include "posix/proc_fs.hpp"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>

using namespace daemonctx::posix;

namespace {

pid_t fork_sleeper() {
  const pid_t child = ::fork();
  if (child == 0) {
    for (;;) ::pause();
  }
  return child;
}

// Waits until the process has ended, and leaves it a zombie.
void kill_and_wait(pid_t pid) {
  siginfo_t info{};
  ::kill(pid, SIGKILL);
  ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT);
}

bool is_child(pid_t pid) {
  const auto all = children_of(::getpid());
  return std::find(all.begin(), all.end(), pid) != all.end();
}

}  // namespace

BOOST_AUTO_TEST_CASE(children_are_listed_until_they_are_waited_for) {
  const pid_t first = fork_sleeper();
  const pid_t second = fork_sleeper();
  BOOST_TEST(is_child(first));
  BOOST_TEST(is_child(second));
  BOOST_TEST(!is_child(::getpid()));
  for (const pid_t each : {first, second}) {
    kill_and_wait(each);
    BOOST_TEST(is_child(each));
    ::waitpid(each, nullptr, 0);
    BOOST_TEST(!is_child(each));
  }
  BOOST_TEST(children_of(first).empty());
}

BOOST_AUTO_TEST_CASE(a_process_that_ends_is_known_by_its_flags) {
  const pid_t child = fork_sleeper();
  BOOST_TEST(!is_ending(::getpid()));
  BOOST_TEST(!is_ending(child));
  kill_and_wait(child);
  BOOST_TEST(is_ending(child));
  ::waitpid(child, nullptr, 0);
  BOOST_TEST(!is_ending(child));
  BOOST_TEST(!is_ending(0));
}
