// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE path
#include "base/path.hpp"

#include <boost/filesystem/path.hpp>
#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <string>

using daemonctx::Path;

BOOST_AUTO_TEST_CASE(strings_and_the_paths_of_other_libraries_convert) {
  const Path expected = "/run/web";
  BOOST_TEST(expected.native() == "/run/web");
  BOOST_TEST(expected.c_str() == std::string("/run/web"));
  BOOST_TEST((Path(std::string("/run/web")) == expected));
  BOOST_TEST((Path(std::string_view("/run/web")) == expected));
  BOOST_TEST((Path(std::filesystem::path("/run/web")) == expected));
  BOOST_TEST((Path(boost::filesystem::path("/run/web")) == expected));
  BOOST_TEST((std::filesystem::path(expected.native()) == "/run/web"));
  BOOST_TEST(Path().empty());
}

BOOST_AUTO_TEST_CASE(members_mean_the_same_as_in_std_filesystem) {
  for (const std::string text : {"", "/", "//", "web", "web/", "/web", "/run/web", "/run/web/", "/run//web",
                                 "//run", "a/b", "./a", ".."}) {
    const std::filesystem::path model(text);
    BOOST_TEST_CONTEXT('"' + text + '"') {
      BOOST_TEST(Path(text).is_absolute() == model.is_absolute());
      BOOST_TEST(Path(text).filename().native() == model.filename().native());
      BOOST_TEST((std::filesystem::path(Path(text).parent_path().native()) == model.parent_path()));
      for (const std::string inner : {"", "x", "/x", "x/y"}) {
        BOOST_TEST((Path(text) / inner).native() == (model / inner).native(), inner);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(a_path_without_detours_has_only_names) {
  BOOST_TEST(daemonctx::without_detours("//run/./web//").native() == "/run/web");
  BOOST_TEST(daemonctx::without_detours("/").native() == "/");
  BOOST_TEST(daemonctx::without_detours("/a/../b").native() == "/a/../b");  // not /b: /a may be a link
}

BOOST_AUTO_TEST_CASE(a_path_lies_in_itself_and_in_what_is_above_it) {
  using daemonctx::lies_in;
  for (const std::string directory : {"/", "/run", "/run/web"}) BOOST_TEST(lies_in("/run/web", directory));
  for (const std::string other : {"/run/we", "/run/web/x", "/ru"}) BOOST_TEST(!lies_in("/run/web", other));
}
