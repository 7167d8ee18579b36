// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE readiness
#include "context/readiness.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <boost/test/unit_test.hpp>
#include <iostream>
#include <optional>
#include <streambuf>

using daemonctx::DaemonError;
using daemonctx::StatusRecord;
using Kind = daemonctx::StatusRecord::Kind;

namespace {

struct Fixture {
  daemonctx::Plan plan{.options = {}, .launch = {daemonctx::LaunchMode::foreground, "of a test"}};
  daemonctx::Resources resources;
  daemonctx::ReadinessState readiness{plan, resources};
  daemonctx::StatusPipe pipe = daemonctx::create_status_pipe();

  Fixture() { readiness.status() = std::move(pipe.writer); }

  // The next report of the daemon's; nothing at the end of the pipe.
  std::optional<Kind> reported() {
    StatusRecord record;
    if (!pipe.reader.receive(record, text)) return {};
    return record.kind;
  }
  std::string text;
};

}  // namespace

BOOST_FIXTURE_TEST_CASE(the_caller_is_told_once, Fixture) {
  BOOST_TEST(!readiness.is_ready());
  readiness.become_ready();
  readiness.become_ready();
  BOOST_TEST(readiness.is_ready());
  BOOST_TEST((reported() == Kind::ready));
  BOOST_TEST(!reported());
}

BOOST_FIXTURE_TEST_CASE(a_supervisor_is_told_by_a_line_end_and_the_end_of_file, Fixture) {
  std::array<int, 2> ends{};
  BOOST_REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
  resources.notify_descriptor = ends[1];
  readiness.become_ready();
  std::array<char, 8> got{};
  BOOST_TEST(::read(ends[0], got.data(), got.size()) == 1);
  BOOST_TEST(got[0] == '\n');
  BOOST_TEST(::read(ends[0], got.data(), got.size()) == 0);
  ::close(ends[0]);
}

BOOST_FIXTURE_TEST_CASE(a_service_that_has_failed_does_not_become_ready, Fixture) {
  BOOST_TEST(readiness.fail("no key"));
  BOOST_CHECK_EXCEPTION(readiness.become_ready(), DaemonError, [](const DaemonError& error) {
    return error.step() == daemonctx::Step::become_ready && error.code() == std::errc::operation_canceled;
  });
  BOOST_TEST((reported() == Kind::failure));
  BOOST_TEST(text == "no key");
}

BOOST_FIXTURE_TEST_CASE(an_end_is_a_failure_only_for_who_still_waits, Fixture) {
  readiness.end("left the scope");
  readiness.end("called exit");
  readiness.status().close();
  BOOST_TEST((reported() == Kind::failure));
  BOOST_TEST(text == "left the scope");
  BOOST_TEST(!reported());
}

BOOST_FIXTURE_TEST_CASE(nobody_is_told_of_the_end_of_what_was_ready, Fixture) {
  readiness.become_ready();
  readiness.end("left the scope");
  BOOST_TEST((reported() == Kind::ready));
  BOOST_TEST(!reported());
}

BOOST_FIXTURE_TEST_CASE(a_caller_that_is_gone_has_cut_the_start_off, Fixture) {
  { const daemonctx::StatusReader gone(std::move(pipe.reader)); }
  BOOST_CHECK_EXCEPTION(readiness.become_ready(), DaemonError,
                        [](const DaemonError& error) { return error.code() == std::errc::broken_pipe; });
  BOOST_TEST(!readiness.is_ready());
}

// Streams are flushed while it becomes ready, and a stream's buffer is user code.
BOOST_FIXTURE_TEST_CASE(a_stream_that_says_ready_while_it_is_flushed_does_not_wait_for_itself, Fixture) {
  struct Buffer : std::streambuf {
    explicit Buffer(daemonctx::ReadinessState& told) : state(told) {}
    int sync() override {
      ++times;
      state.become_ready();
      return 0;
    }
    daemonctx::ReadinessState& state;
    int times = 0;
  } buffer(readiness);
  std::streambuf* const former = std::clog.rdbuf(&buffer);
  readiness.become_ready();
  std::clog.rdbuf(former);
  BOOST_TEST(buffer.times > 0);
  BOOST_TEST(readiness.is_ready());
}
