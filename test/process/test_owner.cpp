// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE owner
#include "process/owner.hpp"

#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <functional>

namespace process = daemonctx::process;

namespace {

// The exit code of a child, which is its answer.
int answer_of(pid_t child) {
  int status = 0;
  BOOST_REQUIRE(::waitpid(child, &status, 0) == child);
  BOOST_REQUIRE(WIFEXITED(status));
  return WEXITSTATUS(status);
}

}  // namespace

BOOST_AUTO_TEST_CASE(nobody_is_the_owner_before_a_claim) { BOOST_TEST(!process::is_owner()); }

BOOST_AUTO_TEST_CASE(a_forked_child_is_not_the_owner_and_may_become_one) {
  process::become_owner();
  BOOST_TEST(process::is_owner());
  const pid_t child = ::fork();
  if (child == 0) {
    const bool inherits = process::is_owner();
    process::become_owner();
    ::_exit(inherits || !process::is_owner() ? 1 : 0);
  }
  BOOST_TEST(answer_of(child) == 0);
  BOOST_TEST(process::is_owner());
}

// A bare clone(2) runs no fork handlers.
BOOST_AUTO_TEST_CASE(a_child_of_a_bare_clone_is_not_the_owner) {
  process::become_owner();
  const auto child = static_cast<pid_t>(::syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, 0UL));
  if (child == 0) ::_exit(process::is_owner() ? 1 : 0);
  BOOST_TEST(answer_of(child) == 0);
}

BOOST_AUTO_TEST_CASE(forget_owner_ends_the_ownership) {
  process::become_owner();
  process::forget_owner();
  BOOST_TEST(!process::is_owner());
}
