// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE wake_fd
#include "posix/wake_fd.hpp"

#include <poll.h>

#include <boost/test/unit_test.hpp>

using daemonctx::posix::WakeFd;

namespace {

bool is_readable(const WakeFd& wake) {
  pollfd readable{wake.fd(), POLLIN, 0};
  return ::poll(&readable, 1, 0) == 1;
}

}  // namespace

BOOST_AUTO_TEST_CASE(the_descriptor_is_readable_between_notify_and_drain) {
  WakeFd wake;
  BOOST_REQUIRE(wake.open() == 0);
  BOOST_TEST(!is_readable(wake));
  wake.notify();
  BOOST_TEST(is_readable(wake));
  wake.drain();
  BOOST_TEST(!is_readable(wake));
}

BOOST_AUTO_TEST_CASE(any_number_of_notifications_neither_blocks_nor_outlasts_a_drain) {
  WakeFd wake;
  BOOST_REQUIRE(wake.open() == 0);
  for (int n = 0; n < 100000; ++n) wake.notify();
  wake.drain();
  BOOST_TEST(!is_readable(wake));
}

BOOST_AUTO_TEST_CASE(programs_do_not_inherit_the_descriptor) {
  WakeFd wake;
  BOOST_REQUIRE(wake.open() == 0);
  BOOST_TEST((::fcntl(wake.fd(), F_GETFD) & FD_CLOEXEC) != 0);
  wake.close();
  BOOST_TEST(wake.fd() == -1);
}
