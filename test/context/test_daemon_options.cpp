// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE daemon_options
#include "daemonctx/daemon_options.hpp"

#include <signal.h>

#include <boost/test/unit_test.hpp>
#include <memory>
#include <stdexcept>
#include <type_traits>
#include <utility>

using namespace daemonctx;
using namespace std::chrono_literals;

namespace {

std::string refusal(const DaemonOptions& options) {
  try {
    validate(options);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "accepted";
}

}  // namespace

BOOST_AUTO_TEST_CASE(defaults_are_valid) { BOOST_TEST(refusal({}) == "accepted"); }

BOOST_AUTO_TEST_CASE(a_refusal_names_member_and_reason) {
  BOOST_TEST(refusal({.working_directory = ""}) == "working_directory: must not be empty");
  BOOST_TEST(refusal({.umask = 01000}) == "umask: has more than permission bits");
  BOOST_TEST(refusal({.files_preserve = {0, 999}}) == "files_preserve: descriptor 999 is not open");
  BOOST_TEST(refusal({.files_preserve = {-1}}) == "files_preserve: descriptor -1 is not open");
  BOOST_TEST(refusal({.pidfile_options = {.lock_timeout = -1ms}}) ==
             "pidfile_options.lock_timeout: must not be negative, is -1 ms");
  BOOST_TEST(refusal({.ready_timeout = -2ms}) == "ready_timeout: must not be negative, is -2 ms");
  BOOST_TEST(refusal({.cleanup_timeout = -3s}) == "cleanup_timeout: must not be negative, is -3000 ms");
}

BOOST_AUTO_TEST_CASE(limits_are_checked) {
  BOOST_TEST(refusal({.title = std::string("a\0b", 3)}) == "title: has a NUL character in it");
  BOOST_TEST(refusal({.limits = {.resources = {{RLIMIT_NOFILE, 10, 10}},
                                 .nice = 19,
                                 .oom_score_adj = -1000,
                                 .cpus = {0}}}) == "accepted");
  BOOST_TEST(refusal({.limits = {.resources = {{99, 1}}}}) == "limits.resources: 99 is no resource");
  BOOST_TEST(refusal({.limits = {.resources = {{RLIMIT_NOFILE, 2, 1}}}}) ==
             "limits.resources: RLIMIT_NOFILE: the soft limit is above the hard limit");
  BOOST_TEST(refusal({.limits = {.resources = {{RLIMIT_CORE, 1}}}}) ==
             "limits.resources: RLIMIT_CORE contradicts prevent_core");
  BOOST_TEST(refusal({.limits = {.nice = 20}}) == "limits.nice: must be from -20 to 19");
  BOOST_TEST(refusal({.limits = {.oom_score_adj = 1001}}) ==
             "limits.oom_score_adj: must be from -1000 to 1000");
  BOOST_TEST(refusal({.limits = {.cpus = {-1}}}) == "limits.cpus: -1 is no processor");
}

struct OwnRestriction : Restriction {
  const char* name() const noexcept override { return "own restriction"; }
  void prepare(const DaemonOptions&) override {}
};

static_assert(std::is_constructible_v<RestrictionHandle, std::shared_ptr<OwnRestriction>>);
static_assert(!std::is_constructible_v<RestrictionHandle, std::unique_ptr<OwnRestriction>>);  // copies share

BOOST_AUTO_TEST_CASE(restrictions_are_checked) {
  OwnRestriction plain;
  const auto shared = std::make_shared<OwnRestriction>();
  BOOST_TEST(refusal({.restrictions = {shared, &plain}}) == "accepted");
  BOOST_TEST(refusal({.restrictions = {shared, &plain, shared}}) ==
             "restrictions: the own restriction are there twice");
  RestrictionHandle moved = shared;
  const RestrictionHandle taken = std::move(moved);
  for (const RestrictionHandle& none : {RestrictionHandle(std::shared_ptr<Restriction>()), moved}) {
    BOOST_TEST(refusal({.restrictions = {taken, none}}) == "restrictions: one is a null pointer");
  }
}

BOOST_AUTO_TEST_CASE(directories_are_checked) {
  const auto refused = [](const daemonctx::Directory& directory) {
    return refusal({.create_directories = {directory}});
  };
  BOOST_TEST(refused({.path = ""}) == "create_directories: a path is empty");
  BOOST_TEST(refused({.path = "/x", .mode = 010000}) ==
             "create_directories: the mode of \"/x\" has more than permission bits");
  const std::string nul("a\0b", 3);
  for (const auto& directory :
       {daemonctx::Directory{.path = nul}, {.path = "/x", .user = nul}, {.path = "/x", .group = nul}}) {
    BOOST_TEST(refused(directory) == "create_directories: has a NUL character in it");
  }
  for (const std::string path : {"/run/x/..", "../x", "/run/../x"}) {
    BOOST_TEST(refused({.path = path}) == "create_directories: \"" + path + "\" has \"..\" in it");
  }
  for (const std::string path : {"/", "//", "/.", "/./", ".", "./", "./."}) {
    BOOST_TEST(refused({.path = path}) ==
               "create_directories: \"" + path + "\" must name a directory of the service's own");
  }
  for (const std::string path : {"x", "/run/x/", "//run/x", "/run/.x", "/run/..x"}) {
    BOOST_TEST(refused({.path = path}) == "accepted", path);
  }
}

BOOST_AUTO_TEST_CASE(standard_streams_are_checked) {
  BOOST_TEST(refusal({.stdio = {.in = StdioTarget::descriptor(999)}}) ==
             "stdio.in: descriptor 999 is not open");
  BOOST_TEST(refusal({.stdio = {.out = StdioTarget::file("")}}) == "stdio.out: the file's path is empty");
  BOOST_TEST(refusal({.stdio = {.out = StdioTarget::file(std::string("a\0b", 3))}}) ==
             "stdio.out: has a NUL character in it");
  BOOST_TEST(refusal({.pidfile = "/run/x", .stdio = {.err = StdioTarget::file("/run/x")}}) ==
             "stdio.err: the file is the pidfile");
  BOOST_TEST(refusal({.stdio = {.err = StdioTarget::file("/x", {.mode = 010000})}}) ==
             "stdio.err: the file's mode has more than permission bits");
}

BOOST_AUTO_TEST_CASE(signals_are_checked) {
  for (const int number : {-1, 0, SIGKILL, SIGSTOP, 32, 33, NSIG, 1000}) {
    BOOST_TEST(refusal({.signal_map = {{number, daemonctx::Action::ignore}}}) ==
               "signal_map: signal " + std::to_string(number) + " can't be handled");
  }
  for (const int number : {SIGSEGV, SIGBUS, SIGFPE, SIGILL}) {
    BOOST_TEST(refusal({.signal_map = {{number, daemonctx::Action::terminate}}}) ==
               "signal_map: signal " + std::to_string(number) +
                   " is raised by a faulty instruction and can only have restore_default");
    BOOST_TEST(refusal({.signal_map = {{number, daemonctx::Action::restore_default}}}) == "accepted");
  }
  BOOST_TEST(refusal({.signal_map = {{SIGUSR1, std::function<void(const SignalInfo&)>()}}}) ==
             "signal_map: signal 10 has an empty function");
  BOOST_TEST(refusal({.signal_map = {{SIGRTMIN, Action::reopen_output},
                                     {SIGRTMAX, [](const SignalInfo&) {}}}}) == "accepted");
}
