// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE unique_fd
#include "posix/unique_fd.hpp"

#include <boost/test/unit_test.hpp>
#include <type_traits>

using daemonctx::UniqueFd;

static_assert(std::is_nothrow_move_constructible_v<UniqueFd> && std::is_nothrow_move_assignable_v<UniqueFd>);
static_assert(!std::is_copy_constructible_v<UniqueFd> && !std::is_copy_assignable_v<UniqueFd>);
static_assert(!std::is_convertible_v<int, UniqueFd>);

namespace {

int some_descriptor() { return ::open("/dev/null", O_RDONLY | O_CLOEXEC); }
bool is_open(int fd) { return ::fcntl(fd, F_GETFD) != -1; }

}  // namespace

BOOST_AUTO_TEST_CASE(the_destructor_closes_and_leaves_errno) {
  const int fd = some_descriptor();
  errno = ENOTTY;
  { const UniqueFd owner(fd); }
  BOOST_TEST(errno == ENOTTY);
  BOOST_TEST(!is_open(fd));
}

BOOST_AUTO_TEST_CASE(a_move_moves_the_duty_to_close) {
  UniqueFd first(some_descriptor());
  const int fd = first.get();
  UniqueFd second(std::move(first));
  BOOST_TEST(second.get() == fd);
  UniqueFd third;
  BOOST_TEST(!third);
  third = std::move(second);
  BOOST_TEST(third.get() == fd);
  BOOST_TEST(is_open(fd));
  third.reset();
  BOOST_TEST(!is_open(fd));
}

BOOST_AUTO_TEST_CASE(a_released_descriptor_stays_open) {
  UniqueFd owner(some_descriptor());
  const int fd = owner.release();
  BOOST_TEST(!owner);
  BOOST_TEST(is_open(fd));
  ::close(fd);
}
