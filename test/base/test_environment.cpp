// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE environment
#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <daemonctx/environment.hpp>

using daemonctx::Environment;
using Variables = Environment::Variables;

BOOST_AUTO_TEST_CASE(it_is_inherited_unless_something_else_is_said) {
  BOOST_TEST(!Environment().variables().has_value());
  BOOST_TEST((Environment(Variables{{"A", "1"}}).variables() == Variables{{"A", "1"}}));
}

BOOST_AUTO_TEST_CASE(it_keeps_what_is_named_and_there) {
  ::setenv("PATH", "/usr/bin", 1);
  ::setenv("KEPT", "x=y", 1);
  ::unsetenv("MISSING");
  BOOST_TEST((Environment::only_path().variables() == Variables{{"PATH", "/usr/bin"}}));
  BOOST_TEST((Environment::keep({"KEPT", "MISSING"}).variables() == Variables{{"KEPT", "x=y"}}));
  BOOST_TEST(Environment::keep({}).variables()->empty());
}
