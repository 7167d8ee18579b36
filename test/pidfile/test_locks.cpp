// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE locks
#include "pidfile/locks.hpp"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>

#include "posix/unique_fd.hpp"
#include "scene.hpp"

using daemonctx::UniqueFd;
using namespace daemonctx::posix;

namespace {

UniqueFd open_file(const scene::Scene& scene) {
  return UniqueFd(::open(scene.path("file").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
}

// The wait status of a forked child that runs `work`: 0 if `work` returned true.
template <class Work>
int in_child(Work work) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(work() ? 0 : 1);
  int status = 0;
  ::waitpid(child, &status, 0);
  return status;
}

}  // namespace

BOOST_AUTO_TEST_CASE(exclusion_belongs_to_the_open_file_and_its_copies) {
  const scene::Scene scene;
  UniqueFd first = open_file(scene);
  const UniqueFd second = open_file(scene);
  BOOST_TEST(lock_exclusion(first.get()) == 0);
  BOOST_TEST(lock_exclusion(second.get()) == EAGAIN);
  // A child shares the lock: a close there releases nothing.
  BOOST_TEST(in_child([&] {
               first.reset();
               return lock_exclusion(second.get()) == EAGAIN;
             }) == 0);
  BOOST_TEST(lock_exclusion(second.get()) == EAGAIN);
  first.reset();
  BOOST_TEST(lock_exclusion(second.get()) == 0);
}

BOOST_AUTO_TEST_CASE(identity_names_the_process_and_ends_with_it) {
  const scene::Scene scene;
  const UniqueFd file = open_file(scene);
  BOOST_TEST(!identity_holder(file.get()).held);
  BOOST_TEST(lock_identity(file.get()) == 0);
  BOOST_TEST(!identity_holder(file.get()).held);  // a process does not see its own lock
  const pid_t here = ::getpid();
  BOOST_TEST(in_child([&] {
               const IdentityHolder holder = identity_holder(file.get());
               return holder.held && holder.pid == here && lock_identity(file.get()) != 0;
             }) == 0);
}

// A read lock of another process would keep the daemon from its lock, and counts as one.
BOOST_AUTO_TEST_CASE(others_see_that_a_daemon_leaves) {
  const scene::Scene scene;
  const UniqueFd file = open_file(scene);
  const auto is_seen = [&] { return in_child([&] { return is_marked_leaving(file.get()); }) == 0; };
  BOOST_TEST(!is_seen());
  show_leaving(file.get(), true);
  BOOST_TEST(is_seen());
  show_leaving(file.get(), false);
  BOOST_TEST(!is_seen());
  struct flock lock {};
  lock.l_type = F_RDLCK;
  lock.l_start = 4;
  lock.l_len = 1;
  BOOST_REQUIRE(::fcntl(file.get(), F_SETLK, &lock) == 0);
  BOOST_TEST(is_seen());
}

BOOST_AUTO_TEST_CASE(exclusion_and_identity_do_not_exclude_each_other) {
  const scene::Scene scene;
  const UniqueFd file = open_file(scene);
  BOOST_TEST(lock_exclusion(file.get()) == 0);
  BOOST_TEST(in_child([&] { return lock_identity(file.get()) == 0; }) == 0);
  BOOST_TEST(in_child([&] { return !identity_holder(file.get()).held; }) == 0);
}
