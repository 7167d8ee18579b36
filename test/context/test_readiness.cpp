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

  Fixture() { resources.status = std::move(pipe.writer); }

  // The daemon's next report; empty at the end of the pipe.
  std::optional<Kind> next_report() {
    const auto report = pipe.reader.next();
    if (!report) return {};
    text = report->text;
    return report->kind;
  }
  std::string text;
};

}  // namespace

BOOST_FIXTURE_TEST_CASE(the_caller_is_told_once, Fixture) {
  BOOST_TEST(!readiness.is_ready());
  readiness.become_ready();
  readiness.become_ready();
  BOOST_TEST(readiness.is_ready());
  BOOST_TEST((next_report() == Kind::ready));
  BOOST_TEST(!next_report());
}

BOOST_FIXTURE_TEST_CASE(a_supervisor_reads_a_newline_and_then_the_end_of_file, Fixture) {
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
  BOOST_TEST((next_report() == Kind::failure));
  BOOST_TEST(text == "no key");
}

BOOST_FIXTURE_TEST_CASE(an_end_is_a_failure_only_for_a_caller_that_still_waits, Fixture) {
  readiness.end("left the scope");
  readiness.end("called exit");
  resources.status.close();
  BOOST_TEST((next_report() == Kind::failure));
  BOOST_TEST(text == "left the scope");
  BOOST_TEST(!next_report());
}

BOOST_FIXTURE_TEST_CASE(the_end_of_a_ready_daemon_is_not_reported, Fixture) {
  readiness.become_ready();
  readiness.end("left the scope");
  BOOST_TEST((next_report() == Kind::ready));
  BOOST_TEST(!next_report());
}

BOOST_FIXTURE_TEST_CASE(become_ready_throws_if_the_caller_is_gone, Fixture) {
  { const daemonctx::StatusReader gone(std::move(pipe.reader)); }
  BOOST_CHECK_EXCEPTION(readiness.become_ready(), DaemonError,
                        [](const DaemonError& error) { return error.code() == std::errc::broken_pipe; });
  BOOST_TEST(!readiness.is_ready());
}

// `become_ready` flushes the streams, and a stream's buffer is user code.
BOOST_FIXTURE_TEST_CASE(become_ready_may_be_called_from_a_stream_that_it_flushes, Fixture) {
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
