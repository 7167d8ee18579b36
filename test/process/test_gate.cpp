// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE gate
#include "process/gate.hpp"

#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <functional>
#include <future>
#include <stdexcept>
#include <thread>

#include "process/owner.hpp"

namespace process = daemonctx::process;
using namespace std::chrono_literals;

namespace {

int context = 0;  // only their addresses matter
int another_context = 0;
int state = 0;

struct OpenContext {
  OpenContext() {
    claim.keep();
    process::open_context(&context, &state, {.mode = 1, .pid = ::getpid(), .worker_number = 3});
  }
  ~OpenContext() { process::close_context(0ms); }
  process::ContextClaim claim;
};

bool holds_in_child(const std::function<bool()>& check) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(check() ? 0 : 1);
  int status = 0;
  BOOST_REQUIRE(::waitpid(child, &status, 0) == child);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace

BOOST_AUTO_TEST_CASE(one_context_at_a_time) {
  const OpenContext open;
  BOOST_CHECK_THROW(process::ContextClaim(), std::logic_error);
}

BOOST_AUTO_TEST_CASE(a_claim_that_is_not_kept_is_dropped) {
  { const process::ContextClaim claim; }
  const OpenContext open;
}

BOOST_AUTO_TEST_CASE(only_the_open_context_can_be_visited) {
  {
    const OpenContext open;
    BOOST_TEST(process::Visit(&context).state() == &state);
    BOOST_TEST(process::Visit(process::any_context).state() == &state);
    BOOST_TEST(!process::Visit(&another_context));
    BOOST_TEST(!process::Visit(nullptr));
  }
  BOOST_TEST(!process::Visit(&context));
  BOOST_TEST(!process::Visit(process::any_context));
  BOOST_TEST(!process::is_open(&context));
}

BOOST_AUTO_TEST_CASE(the_facts_outlive_the_context) {
  { const OpenContext open; }
  BOOST_TEST(process::facts_of(&context).worker_number == 3U);
  BOOST_TEST(process::facts_of(&context).pid == ::getpid());
  BOOST_TEST(process::facts_of(&another_context).pid == 0);
}

BOOST_AUTO_TEST_CASE(closing_waits_for_a_visitor_of_another_thread) {
  const OpenContext open;
  std::promise<void> inside;
  std::promise<void> may_leave;
  std::atomic<bool> has_left = false;
  std::thread visitor([&] {
    const process::Visit visit(&context);
    inside.set_value();
    may_leave.get_future().wait();
    has_left = true;
  });
  inside.get_future().wait();
  BOOST_TEST(!process::close_context(1ms));  // gives up after its timeout
  process::open_context(&context, &state, {});
  may_leave.set_value();
  BOOST_TEST(process::close_context(30s));
  BOOST_TEST(has_left);
  visitor.join();
}

BOOST_AUTO_TEST_CASE(closing_does_not_wait_for_a_thread_that_never_comes_back) {
  const OpenContext open;
  std::promise<void> inside;
  std::promise<void> over;
  std::thread visitor([&] {
    const process::Visit visit(&context);
    const process::Visit nested(&context);
    process::forget_visits_of_this_thread();
    inside.set_value();
    over.get_future().wait();
    process::ContextClaim next;  // the forgotten visits must not be counted down in it
  });
  inside.get_future().wait();
  BOOST_TEST(process::close_context(30s));
  over.set_value();
  visitor.join();
}

BOOST_AUTO_TEST_CASE(closing_during_a_visit_of_this_thread_fails_without_a_wait) {
  const OpenContext open;
  const process::Visit visit(&context);
  BOOST_TEST(!process::close_context(20s));
}

BOOST_AUTO_TEST_CASE(a_forked_child_finds_no_context_and_may_open_its_own) {
  const OpenContext open;
  BOOST_TEST(holds_in_child([] {
    const bool is_inert = !process::Visit(&context) && !process::is_open(&context);
    const OpenContext own;
    const bool is_open = static_cast<bool>(process::Visit(&context));
    return is_inert && is_open && process::close_context(1ms);
  }));
  BOOST_TEST(static_cast<bool>(process::Visit(&context)));
}

BOOST_AUTO_TEST_CASE(a_child_that_was_forked_within_a_visit_does_not_end_it) {
  const OpenContext open;
  const process::Visit visit(&context);
  const pid_t child = ::fork();
  if (child == 0) {
    {
      const process::Visit copy(&context);
      if (copy) ::_exit(1);
    }
    const OpenContext own;
    ::_exit(process::close_context(1ms) ? 0 : 2);
  }
  int status = 0;
  BOOST_REQUIRE(::waitpid(child, &status, 0) == child);
  BOOST_TEST(status == 0);
}

BOOST_AUTO_TEST_CASE(a_child_of_a_bare_clone_finds_no_context_and_may_open_its_own) {
  const OpenContext open;
  const auto child = static_cast<pid_t>(::syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, 0UL));
  if (child == 0) {
    if (process::Visit(&context)) ::_exit(1);
    const OpenContext own;
    ::_exit(process::Visit(&context) ? 0 : 2);
  }
  int status = 0;
  BOOST_REQUIRE(::waitpid(child, &status, 0) == child);
  BOOST_TEST(status == 0);
}
