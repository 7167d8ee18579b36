// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE private_fd
#include "process/private_fd.hpp"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <boost/test/unit_test.hpp>
#include <functional>

#include "process/fork_handlers.hpp"

using daemonctx::UniqueFd;
using daemonctx::process::PrivateFd;

namespace {

UniqueFd open_something() { return UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC)); }

bool is_open(int fd) { return ::fcntl(fd, F_GETFD) != -1; }

// True if `check` returns true in a child that is forked here.
bool holds_in_child(const std::function<bool()>& check) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(check() ? 0 : 1);
  int status = 0;
  BOOST_REQUIRE(::waitpid(child, &status, 0) == child);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

struct Handlers {
  Handlers() { daemonctx::process::register_fork_handlers(); }
};

}  // namespace

BOOST_TEST_GLOBAL_FIXTURE(Handlers);

BOOST_AUTO_TEST_CASE(the_destructor_closes_the_descriptor) {
  int number = -1;
  {
    const PrivateFd fd(open_something());
    number = fd.get();
    BOOST_TEST(is_open(number));
  }
  BOOST_TEST(!is_open(number));
}

BOOST_AUTO_TEST_CASE(a_forked_child_does_not_have_the_descriptor) {
  PrivateFd fd(open_something());
  const int number = fd.get();
  BOOST_TEST(holds_in_child([&] { return fd.get() == -1 && !fd && !is_open(number); }));
  BOOST_TEST(is_open(number));
}

BOOST_AUTO_TEST_CASE(an_inherited_PrivateFd_closes_no_descriptor_of_the_child) {
  PrivateFd fd(open_something());
  BOOST_TEST(holds_in_child([&] {
    const UniqueFd own = open_something();  // has the same number
    fd.reset();
    PrivateFd moved(std::move(fd));
    moved = PrivateFd();
    return is_open(own.get());
  }));
}

BOOST_AUTO_TEST_CASE(the_librarys_own_child_keeps_the_descriptor) {
  const PrivateFd fd(open_something());
  const daemonctx::process::OwnFork own;
  BOOST_TEST(holds_in_child([&] { return is_open(fd.get()); }));
}

BOOST_AUTO_TEST_CASE(a_child_of_a_child_of_a_child_has_room_for_its_own) {
  std::array<PrivateFd, 20> many;
  for (PrivateFd& each : many) each.reset(open_something());
  const auto has_room = [] {
    std::array<PrivateFd, 20> own;
    for (PrivateFd& each : own) each.reset(open_something());
    return static_cast<bool>(own.back());
  };
  BOOST_TEST(holds_in_child([&] { return has_room() && holds_in_child(has_room); }));
}

BOOST_AUTO_TEST_CASE(a_move_passes_the_descriptor_on) {
  PrivateFd one(open_something());
  const int number = one.get();
  PrivateFd other(std::move(one));
  BOOST_TEST(one.get() == -1);
  BOOST_TEST(other.get() == number);
  one = std::move(other);
  BOOST_TEST(one.get() == number);
}
