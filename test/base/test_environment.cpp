// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE environment
#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <daemonctx/environment.hpp>

using daemonctx::Environment;
using Variables = Environment::Variables;

BOOST_AUTO_TEST_CASE(the_environment_is_inherited_by_default) {
  BOOST_TEST(!Environment().variables().has_value());
  BOOST_TEST((Environment(Variables{{"A", "1"}}).variables() == Variables{{"A", "1"}}));
}

BOOST_AUTO_TEST_CASE(keep_takes_the_named_variables_that_exist) {
  ::setenv("PATH", "/usr/bin", 1);
  ::setenv("KEPT", "x=y", 1);
  ::unsetenv("MISSING");
  BOOST_TEST((Environment::only_path().variables() == Variables{{"PATH", "/usr/bin"}}));
  BOOST_TEST((Environment::keep({"KEPT", "MISSING"}).variables() == Variables{{"KEPT", "x=y"}}));
  BOOST_TEST(Environment::keep({}).variables()->empty());
}
