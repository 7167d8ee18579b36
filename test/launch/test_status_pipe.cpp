// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE status_pipe
#include "launch/status_pipe.hpp"

#include <signal.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>

using namespace daemonctx;

BOOST_AUTO_TEST_CASE(records_arrive_as_they_were_sent) {
  StatusPipe pipe = create_status_pipe();
  BOOST_TEST(pipe.writer.send_pid(42) == 0);
  BOOST_TEST(pipe.writer.send_failure(Step::change_directory, ENOENT, "text") == 0);
  BOOST_TEST(pipe.writer.send_ready() == 0);
  pipe.writer.close();
  StatusRecord record;
  std::string text;
  BOOST_TEST(pipe.reader.receive(record, text));
  BOOST_TEST((record.kind == StatusRecord::Kind::pid && record.pid == 42 && text.empty()));
  BOOST_TEST(pipe.reader.receive(record, text));
  BOOST_TEST((record.kind == StatusRecord::Kind::failure && record.error == ENOENT));
  BOOST_TEST((static_cast<Step>(record.step) == Step::change_directory));
  BOOST_TEST(text == "text");
  BOOST_TEST(pipe.reader.receive(record, text));
  BOOST_TEST((record.kind == StatusRecord::Kind::ready && record.pid == ::getpid()));
  BOOST_TEST(!pipe.reader.receive(record, text));
}

BOOST_AUTO_TEST_CASE(a_long_text_is_cut_to_longest_status_text) {
  StatusPipe pipe = create_status_pipe();
  BOOST_TEST(pipe.writer.send_failure(Step::run_service, 1, std::string(100000, 'x')) == 0);
  StatusRecord record;
  std::string text;
  BOOST_TEST(pipe.reader.receive(record, text));
  BOOST_TEST(text == std::string(longest_status_text, 'x'));
}

BOOST_AUTO_TEST_CASE(an_incomplete_record_is_the_end) {
  StatusPipe pipe = create_status_pipe();
  BOOST_REQUIRE(::write(pipe.writer.fd(), "half", 4) == 4);
  pipe.writer.close();
  StatusRecord record;
  std::string text;
  BOOST_TEST(!pipe.reader.receive(record, text));
}

BOOST_AUTO_TEST_CASE(a_reader_that_is_gone_is_an_error_and_no_signal) {
  ::signal(SIGPIPE, SIG_DFL);
  StatusPipe pipe = create_status_pipe();
  { const StatusReader gone = std::move(pipe.reader); }
  BOOST_TEST(pipe.writer.send_ready() == EPIPE);
  sigset_t pending;
  ::sigpending(&pending);
  BOOST_TEST(!sigismember(&pending, SIGPIPE));
}
