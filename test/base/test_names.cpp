// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE names
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <csignal>
#include <daemonctx/confine.hpp>
#include <daemonctx/controller.hpp>
#include <daemonctx/daemon_context.hpp>
#include <exception>
#include <filesystem>
#include <string>
#include <thread>
#include <tuple>

using namespace std;
using namespace daemonctx;

// The test is that this file compiles: no name of the library hides a name of the standard library, or is
// hidden by one.
BOOST_AUTO_TEST_CASE(both_namespaces_can_be_used_at_once) {
  const DaemonOptions options{.pidfile = filesystem::path("/run/x.pid"),
                              .signal_map = {{SIGHUP, Action::reload}, {SIGPIPE, Action::ignore}},
                              .ready_timeout = forever};
  int value = 0;
  tie(value, ignore) = tuple(1, 2);
  BOOST_TEST((get_terminate() != &terminate));
  BOOST_TEST(value == 1);
  BOOST_TEST(to_string(value) + string(to_string(Step::change_user)) == "1become the user");
  BOOST_TEST((options.pidfile == "/run/x.pid"));
}
