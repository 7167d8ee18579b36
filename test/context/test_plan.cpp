// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE plan
#include "context/plan.hpp"

#include <signal.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>

using daemonctx::Action;
using daemonctx::LaunchMode;
using daemonctx::Plan;
using daemonctx::Step;

namespace {

Plan plan_of(LaunchMode mode, daemonctx::DaemonOptions options = {}) {
  return {.options = std::move(options), .launch = {mode, "of a test"}};
}

Action action_of(const daemonctx::SignalMap& map, int signal) { return *map.at(signal).action(); }

}  // namespace

BOOST_AUTO_TEST_CASE(only_a_detached_daemon_ignores_the_terminals_stop_signals) {
  BOOST_TEST((action_of(plan_of(LaunchMode::detached).signal_map(), SIGTSTP) == Action::ignore));
  BOOST_TEST(plan_of(LaunchMode::foreground).signal_map().count(SIGTSTP) == 0U);
}

BOOST_AUTO_TEST_CASE(sigpipe_is_ignored_by_default_except_in_the_foreground) {
  for (const LaunchMode mode :
       {LaunchMode::detached, LaunchMode::managed, LaunchMode::inetd, LaunchMode::init})
    BOOST_TEST((action_of(plan_of(mode).signal_map(), SIGPIPE) == Action::ignore));
  BOOST_TEST(plan_of(LaunchMode::foreground).signal_map().count(SIGPIPE) == 0U);
  const auto map =
      plan_of(LaunchMode::detached, {.signal_map = {{SIGPIPE, Action::restore_default}}}).signal_map();
  BOOST_TEST((action_of(map, SIGPIPE) == Action::restore_default));
}

BOOST_AUTO_TEST_CASE(a_given_signal_map_takes_precedence_over_the_defaults) {
  const auto map = plan_of(LaunchMode::foreground, {.signal_map = {{SIGINT, Action::ignore}}}).signal_map();
  BOOST_TEST((action_of(map, SIGINT) == Action::ignore));
  BOOST_TEST((action_of(map, SIGTERM) == Action::terminate));
}

BOOST_AUTO_TEST_CASE(the_subject_of_a_step_is_the_value_of_its_option) {
  const Plan plan =
      plan_of(LaunchMode::detached, {.working_directory = "/srv", .pidfile = "/run/x.pid", .group = "mail"});
  BOOST_TEST(plan.subject_of(Step::change_directory) == "/srv");
  BOOST_TEST(plan.subject_of(Step::write_pidfile) == "/run/x.pid");
  BOOST_TEST(plan.subject_of(Step::change_user) == "mail");
  BOOST_TEST(plan.subject_of(Step::set_umask) == "");
}

BOOST_AUTO_TEST_CASE(a_failed_change_of_only_the_group_names_the_group) {
  const Plan plan = plan_of(LaunchMode::detached, {.group = "mail"});
  BOOST_TEST(plan.error_of(Step::change_user, EPERM).what() ==
             std::string("cannot become the group \"mail\": Operation not permitted"));
  Plan own = plan_of(LaunchMode::detached, {.user = "me", .group = "mail"});
  own.identity.emplace().uid = ::getuid();
  BOOST_TEST(own.error_of(Step::change_user, EPERM).subject() == std::string("mail"));
  own.identity->uid = ::getuid() + 1;
  BOOST_TEST(own.error_of(Step::change_user, EPERM).what() ==
             std::string("cannot become the user \"me\": Operation not permitted"));
}
