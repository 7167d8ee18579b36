// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE flush_streams

// The library reaches std::cout only where the program uses it. The probe does, with the shared libstdc++ and
// with the static one.

#include <boost/filesystem/path.hpp>
#include <boost/test/unit_test.hpp>

#include "scene.hpp"

using scene::Scene;

namespace {

void check_that_each_text_appears_once(const std::string& probe) {
  Scene scene;
  const std::string log = scene.path("log");
  const auto result = Scene::run({probe, scene.path("pid"), log});
  BOOST_TEST(result.end.exited(0), result.err);
  BOOST_TEST(result.out == "before the start, before ready");
  BOOST_TEST(scene::eventually([&] { return !scene::exists(scene.path("pid")); }));
  BOOST_TEST(scene::eventually([&] { return scene::contents(log) == "afterwards"; }), scene::contents(log));
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_buffer_of_cout_is_written_once_and_to_where_it_belongs) {
  check_that_each_text_appears_once(scene::argument(1));
}

BOOST_AUTO_TEST_CASE(so_it_is_with_a_static_libstdcxx) {
  check_that_each_text_appears_once(scene::argument(2));
}
