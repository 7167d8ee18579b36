// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE plan
#include "context/plan.hpp"

#include <signal.h>

#include <boost/test/unit_test.hpp>

using daemonctx::LaunchMode;
using daemonctx::Plan;
using daemonctx::StandardAction;
using daemonctx::Step;

namespace {

Plan plan_of(LaunchMode mode, daemonctx::DaemonOptions options = {}) {
  return {.options = std::move(options), .launch = {mode, "of a test"}};
}

StandardAction action_of(const daemonctx::SignalMap& map, int signal) {
  return std::get<StandardAction>(map.at(signal));
}

}  // namespace

BOOST_AUTO_TEST_CASE(the_terminals_stop_signals_are_ignored_only_by_what_detaches) {
  BOOST_TEST((action_of(plan_of(LaunchMode::detached).signal_map(), SIGTSTP) == StandardAction::ignore));
  BOOST_TEST(plan_of(LaunchMode::foreground).signal_map().count(SIGTSTP) == 0U);
}

BOOST_AUTO_TEST_CASE(what_is_given_goes_before_the_defaults) {
  const auto map =
      plan_of(LaunchMode::foreground, {.signal_map = {{SIGINT, StandardAction::ignore}}}).signal_map();
  BOOST_TEST((action_of(map, SIGINT) == StandardAction::ignore));
  BOOST_TEST((action_of(map, SIGTERM) == StandardAction::terminate));
}

BOOST_AUTO_TEST_CASE(a_step_works_on_the_option_of_its_name) {
  const Plan plan =
      plan_of(LaunchMode::detached, {.working_directory = "/srv", .pidfile = "/run/x.pid", .group = "mail"});
  BOOST_TEST(plan.subject_of(Step::change_directory) == "/srv");
  BOOST_TEST(plan.subject_of(Step::write_pidfile) == "/run/x.pid");
  BOOST_TEST(plan.subject_of(Step::change_user) == "mail");
  BOOST_TEST(plan.subject_of(Step::set_umask) == "");
}
