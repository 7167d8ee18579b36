// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE error
#include "daemonctx/error.hpp"

#include <boost/test/unit_test.hpp>
#include <type_traits>

using daemonctx::DaemonError;
using daemonctx::Step;

static_assert(std::is_nothrow_copy_constructible_v<DaemonError>);

BOOST_AUTO_TEST_CASE(an_error_names_step_subject_and_reason) {
  const DaemonError error(Step::change_directory, std::make_error_code(std::errc::no_such_file_or_directory),
                          "/nope");
  BOOST_TEST(error.what() ==
             std::string("cannot change the working directory to \"/nope\": No such file or directory"));
  BOOST_TEST((error.step() == Step::change_directory));
  BOOST_TEST(error.subject() == std::string("/nope"));
  BOOST_TEST(error.pid() == 0);
  BOOST_TEST((error.code() == std::errc::no_such_file_or_directory));
}

BOOST_AUTO_TEST_CASE(an_error_without_a_subject_names_none) {
  const DaemonError error(Step::create_session, std::make_error_code(std::errc::operation_not_permitted));
  BOOST_TEST(error.what() == std::string("cannot create a session: Operation not permitted"));
}

BOOST_AUTO_TEST_CASE(a_given_text_is_taken_word_for_word) {
  const DaemonError error(Step::lock_pidfile, std::make_error_code(std::errc::file_exists), "/p",
                          "already running", 7);
  BOOST_TEST(error.what() == std::string("already running"));
  BOOST_TEST(error.pid() == 7);
}

BOOST_AUTO_TEST_CASE(every_step_has_a_description) {
  for (int step = 0; step <= static_cast<int>(Step::run_service); ++step) {
    BOOST_TEST(!daemonctx::to_string(static_cast<Step>(step)).empty());
  }
}

BOOST_AUTO_TEST_CASE(any_exception_has_a_text) {
  BOOST_TEST(daemonctx::message_of(std::make_exception_ptr(std::runtime_error("text"))) == "text");
  BOOST_TEST(daemonctx::message_of(std::make_exception_ptr(42)) == "unknown exception");
  BOOST_TEST(daemonctx::message_of(nullptr).empty());
}
