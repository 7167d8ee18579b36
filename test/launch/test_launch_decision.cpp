// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE launch_decision
#include "launch/launch_decision.hpp"

#include <boost/test/unit_test.hpp>

#include "daemonctx/error.hpp"

using namespace daemonctx;

namespace {

LaunchMode automatic(const Surroundings& surroundings) {
  return decide_launch(DetachProcess::automatic, surroundings).mode;
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_start_without_a_supervisor_detaches) {
  BOOST_TEST((automatic({.pid = 42}) == LaunchMode::detached));
  // These variables name other processes.
  BOOST_TEST((automatic({.pid = 42, .systemd_exec_pid = "41", .listen_pid = "43"}) == LaunchMode::detached));
}

BOOST_AUTO_TEST_CASE(a_service_manager_names_this_process) {
  BOOST_TEST((automatic({.pid = 42, .notify_socket = "/run/notify"}) == LaunchMode::managed));
  BOOST_TEST((automatic({.pid = 42, .systemd_exec_pid = "42"}) == LaunchMode::managed));
  BOOST_TEST((automatic({.pid = 42, .listen_pid = "42"}) == LaunchMode::managed));
}

// Of an ancestor that the manager started. A wrapper that hands its socket on says `never`.
BOOST_AUTO_TEST_CASE(a_socket_of_an_ancestor_is_not_meant_for_this_process) {
  Surroundings inherited{.pid = 42, .notify_socket = "/run/notify", .systemd_exec_pid = "41"};
  inherited.drop_ancestors_socket();
  BOOST_TEST(inherited.notify_socket == "");
  const auto decision = decide_launch(DetachProcess::automatic, inherited);
  BOOST_TEST((decision.mode == LaunchMode::detached));
  BOOST_TEST(decision.reason == "SYSTEMD_EXEC_PID names another process: NOTIFY_SOCKET is an ancestor's");
  for (const std::string exec_pid : {"", "42"}) {
    Surroundings own{.pid = 42, .notify_socket = "/run/notify", .systemd_exec_pid = exec_pid};
    own.drop_ancestors_socket();
    BOOST_TEST((automatic(own) == LaunchMode::managed));
  }
}

BOOST_AUTO_TEST_CASE(a_manager_that_names_the_pidfile_expects_a_fork) {
  const Surroundings forking{.pid = 42, .systemd_exec_pid = "42", .pidfile = "/run/web.pid"};
  const auto mode = [&](const Path& pidfile) {
    return decide_launch(DetachProcess::automatic, forking, pidfile).mode;
  };
  BOOST_TEST((mode("/run/web.pid") == LaunchMode::detached));
  BOOST_TEST((mode("/run/other.pid") == LaunchMode::managed));
  BOOST_TEST((mode("") == LaunchMode::managed));
}

BOOST_AUTO_TEST_CASE(inetd_and_containers_are_recognized) {
  BOOST_TEST((automatic({.pid = 42, .stdin_is_socket = true}) == LaunchMode::inetd));
  BOOST_TEST((automatic({.pid = 1}) == LaunchMode::init));
}

BOOST_AUTO_TEST_CASE(the_option_decides_except_in_process_1) {
  BOOST_TEST((decide_launch(DetachProcess::never, {.pid = 42}).mode == LaunchMode::foreground));
  BOOST_TEST(
      (decide_launch(DetachProcess::never, {.pid = 42, .notify_socket = "/n"}).mode == LaunchMode::managed));
  BOOST_TEST((decide_launch(DetachProcess::always, {.pid = 42, .notify_socket = "/n"}).mode ==
              LaunchMode::detached));
  BOOST_CHECK_EXCEPTION(
      decide_launch(DetachProcess::always, {.pid = 1}), DaemonError, [](const DaemonError& error) {
        return error.step() == Step::choose_mode &&
               error.what() ==
                   std::string("cannot detach: this is process 1, and its end is the end of its container");
      });
}

BOOST_AUTO_TEST_CASE(every_decision_has_a_reason_and_every_mode_a_name) {
  BOOST_TEST(decide_launch(DetachProcess::automatic, {.pid = 42, .listen_pid = "42"}).reason ==
             "LISTEN_PID names this process");
  for (const auto mode : {LaunchMode::detached, LaunchMode::foreground, LaunchMode::managed,
                          LaunchMode::inetd, LaunchMode::init}) {
    BOOST_TEST(to_string(mode) != "unknown");
  }
}
