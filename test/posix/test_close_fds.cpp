// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE close_fds
#include "posix/close_fds.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <vector>

namespace {

bool is_open(int fd) { return ::fcntl(fd, F_GETFD) != -1; }

// Calls close_fds_except(`keep`) in a child with descriptors 0 to 999 and 3000 open. Returns the wait status
// of the child: 0 if only `keep` and the standard three remain open.
int status_of_child_that_keeps(const std::vector<int>& keep) {
  const pid_t child = ::fork();
  if (child != 0) {
    int status = 0;
    ::waitpid(child, &status, 0);
    return status;
  }
  for (int fd = 3; fd < 1000; ++fd) ::dup2(0, fd);
  ::dup2(0, 3000);
  const rlimit low{100, 100};
  ::setrlimit(RLIMIT_NOFILE, &low);
  if (daemonctx::posix::close_fds_except(keep) != 0) ::_exit(2);
  for (int fd = 0; fd < 4096; ++fd) {
    const bool wanted = fd < 3 || std::find(keep.begin(), keep.end(), fd) != keep.end();
    if (is_open(fd) != wanted) ::_exit(1);
  }
  ::_exit(0);
}

}  // namespace

BOOST_AUTO_TEST_CASE(only_the_listed_descriptors_are_kept) {
  BOOST_TEST(status_of_child_that_keeps({}) == 0);
  BOOST_TEST(status_of_child_that_keeps({3}) == 0);
  BOOST_TEST(status_of_child_that_keeps({4, 5, 7, 998}) == 0);
  BOOST_TEST(status_of_child_that_keeps({3, 999, 3000}) == 0);
}

BOOST_AUTO_TEST_CASE(the_standard_three_and_repetitions_may_be_listed) {
  BOOST_TEST(status_of_child_that_keeps({0, 1, 2, 10, 10, 11}) == 0);
}
