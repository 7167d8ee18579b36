// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE proc_fs
#include "posix/proc_fs.hpp"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
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

// The name of a process, which it chooses itself, stands in the same files as what the kernel says of it.
BOOST_AUTO_TEST_CASE(the_name_of_a_process_can_forge_nothing) {
  for (const char* name : {") Z 1 4 4 4", "\nUid:\t0\t0", "\nCoreDumping:1"}) {
    std::array<int, 2> named{};
    BOOST_REQUIRE(::pipe(named.data()) == 0);
    const pid_t child = ::fork();
    if (child == 0) {
      static_cast<void>(::setresuid(65534, 65534, 65534));  // as an ordinary user it has another uid anyway
      ::prctl(PR_SET_NAME, name);
      ::close(named[1]);
      for (;;) ::pause();
    }
    ::close(named[1]);
    char none = 0;
    BOOST_TEST(::read(named[0], &none, 1) == 0);
    ::close(named[0]);
    BOOST_TEST(is_child(child));
    BOOST_TEST(!is_ending(child));
    const uid_t user = ::geteuid() == 0 ? 65534 : ::getuid();
    BOOST_TEST((real_user_of(child) == user));
    kill_and_wait(child);
    ::waitpid(child, nullptr, 0);
  }
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
