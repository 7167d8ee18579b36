// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE redirection
#include "output/redirection.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>

#include "daemonctx/error.hpp"
#include "scene.hpp"

using namespace daemonctx;
using scene::Scene;

namespace {

// Runs `work` in a child, since `work` may change the standard streams. True if `work` returned true.
template <class Work>
bool in_child(Work work) {
  const pid_t child = ::fork();
  if (child == 0) {
    bool good = false;
    try {
      good = work();
    } catch (...) {
      good = false;
    }
    ::_exit(good ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return status == 0;
}

bool write_to(int fd, const std::string& text) {
  return ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

bool is_null_device(int fd) {
  struct stat file {};
  struct stat null {};
  return ::fstat(fd, &file) == 0 && ::stat("/dev/null", &null) == 0 && file.st_rdev == null.st_rdev;
}

}  // namespace

BOOST_AUTO_TEST_CASE(closed_standard_descriptors_are_filled_and_open_ones_left) {
  for (int closed = 0; closed < 8; ++closed) {
    BOOST_TEST(in_child([&] {
      const int file = ::open("/dev/zero", O_RDWR | O_CLOEXEC);
      for (int fd = 0; fd < 3; ++fd) ::dup2(file, fd);
      for (int fd = 0; fd < 3; ++fd) {
        if ((closed & (1 << fd)) != 0) ::close(fd);
      }
      fill_standard_descriptors();
      bool right = true;
      for (int fd = 0; fd < 3; ++fd) right = right && is_null_device(fd) == ((closed & (1 << fd)) != 0);
      return right;
    }));
  }
}

BOOST_AUTO_TEST_CASE(automatic_means_the_null_device_only_when_detached) {
  BOOST_TEST(in_child([] {
    Redirection redirection;
    redirection.open({}, true);
    return redirection.redirect_input() == 0 && redirection.redirect_output() == 0 && is_null_device(0) &&
           is_null_device(1) && is_null_device(2);
  }));
  std::vector<int> held;
  Redirection inherited;
  inherited.open({}, false);
  inherited.append_descriptors(held);
  BOOST_TEST(held.empty());
}

BOOST_AUTO_TEST_CASE(one_file_for_both_outputs_is_opened_once) {
  const Scene scene;
  const auto log = StdioTarget::file(scene.path("log"), {.truncate = true});
  std::vector<int> held;
  Redirection redirection;
  redirection.open({.in = StdioTarget::inherit(), .out = log, .err = log}, true);
  redirection.append_descriptors(held);
  BOOST_TEST(held.size() == 1U);
  BOOST_TEST(held.front() > 2);
  BOOST_TEST((::fcntl(held.front(), F_GETFD) & FD_CLOEXEC) != 0);
  BOOST_TEST((::fcntl(held.front(), F_GETFL) & O_NONBLOCK) == 0);
}

BOOST_AUTO_TEST_CASE(a_link_to_a_file_that_is_not_there_yet_creates_it) {
  const Scene scene;
  BOOST_REQUIRE(::symlink(scene.path("file").c_str(), scene.path("link").c_str()) == 0);
  Redirection().open({.out = StdioTarget::file(scene.path("link"))}, true);
  BOOST_TEST(scene::exists(scene.path("file")));
}

BOOST_AUTO_TEST_CASE(input_comes_from_a_file_and_is_not_created) {
  const Scene scene;
  scene::write_file(scene.path("in"), "x");
  BOOST_TEST(in_child([&] {
    Redirection redirection;
    redirection.open({.in = StdioTarget::file(scene.path("in"))}, true);
    char byte = 0;
    return redirection.redirect_input() == 0 && ::read(0, &byte, 1) == 1 && byte == 'x';
  }));
  BOOST_CHECK_THROW(Redirection().open({.in = StdioTarget::file(scene.path("none"))}, true), DaemonError);
  BOOST_TEST(!scene::exists(scene.path("none")));
}

BOOST_AUTO_TEST_CASE(a_reopen_follows_the_path_and_never_truncates) {
  const Scene scene;
  const std::string log = scene.path("log");
  const Stdio stdio = {.out = StdioTarget::file(log, {.truncate = true}), .err = StdioTarget::inherit()};
  BOOST_TEST(in_child([&] {
    Redirection redirection;
    redirection.open(stdio, true);
    bool good = redirection.redirect_output() == 0 && write_to(1, "one ");
    Redirection{}.reopen(stdio);
    good = good && write_to(1, "two") && ::rename(log.c_str(), (log + ".1").c_str()) == 0;
    Redirection{}.reopen(stdio);
    return good && write_to(1, "three");
  }));
  BOOST_TEST(scene::contents(log + ".1") == "one two");
  BOOST_TEST(scene::contents(log) == "three");
}

BOOST_AUTO_TEST_CASE(a_failed_reopen_changes_nothing) {
  const Scene scene;
  ::mkdir(scene.path("folder").c_str(), 0755);
  const Stdio stdio = {.out = StdioTarget::file(scene.path("log")),
                       .err = StdioTarget::file(scene.path("folder/log"))};
  BOOST_TEST(in_child([&] {
    Redirection redirection;
    redirection.open(stdio, true);
    if (redirection.redirect_output() != 0) return false;
    if (::rename(scene.path("folder").c_str(), scene.path("moved").c_str()) != 0) return false;
    ::unlink(scene.path("log").c_str());
    try {
      Redirection{}.reopen(stdio);
    } catch (const DaemonError& error) {
      struct stat in_use {};  // reopen() opened the first file anew, but must not use it
      return error.step() == Step::open_stdio && ::fstat(1, &in_use) == 0 && in_use.st_nlink == 0 &&
             write_to(2, "here");
    }
    return false;
  }));
  BOOST_TEST(scene::contents(scene.path("moved/log")) == "here");
}
