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
