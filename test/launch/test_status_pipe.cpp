// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE status_pipe
#include "launch/status_pipe.hpp"

#include <signal.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>

using namespace daemonctx;

namespace {

using Kind = StatusRecord::Kind;

StatusRecord failure(std::int32_t step, std::uint32_t text_size = 0) {
  return {.kind = Kind::failure, .step = step, .error = EIO, .text_size = text_size};
}

void write(const StatusPipe& pipe, const void* data, std::size_t size) {
  BOOST_REQUIRE(::write(pipe.writer.fd(), data, size) == static_cast<ssize_t>(size));
}

}  // namespace

BOOST_AUTO_TEST_CASE(records_arrive_as_they_were_sent) {
  StatusPipe pipe = create_status_pipe();
  BOOST_TEST(pipe.writer.send_failure(Step::change_directory, ENOENT, "text") == 0);
  BOOST_TEST(pipe.writer.send_ready() == 0);
  auto report = pipe.reader.next();
  BOOST_TEST((report && report->kind == Kind::failure && report->error == ENOENT));
  BOOST_TEST((report->step == Step::change_directory));
  BOOST_TEST(report->text == "text");
  report = pipe.reader.next();
  BOOST_TEST((report && report->kind == Kind::ready && report->text.empty()));
  BOOST_TEST(!pipe.reader.next());
  BOOST_TEST(!pipe.reader.is_over());
  pipe.writer.close();
  BOOST_TEST(!pipe.reader.next());
  BOOST_TEST(pipe.reader.is_over());
}

BOOST_AUTO_TEST_CASE(a_long_text_is_cut_to_longest_status_text) {
  StatusPipe pipe = create_status_pipe();
  BOOST_TEST(pipe.writer.send_failure(Step::run_service, 1, std::string(100000, 'x')) == 0);
  const auto report = pipe.reader.next();
  BOOST_TEST((report && report->text == std::string(longest_status_text, 'x')));
}

BOOST_AUTO_TEST_CASE(a_record_is_put_together_from_its_parts) {
  StatusPipe pipe = create_status_pipe();
  const StatusRecord record = failure(0, 4);
  std::string bytes(reinterpret_cast<const char*>(&record), sizeof record);
  bytes += "text";
  for (const char byte : bytes) {
    BOOST_TEST(!pipe.reader.next());
    write(pipe, &byte, 1);
  }
  const auto report = pipe.reader.next();
  BOOST_TEST((report && report->error == EIO && report->text == "text"));
}

BOOST_AUTO_TEST_CASE(an_incomplete_record_is_the_end) {
  for (const std::size_t size : {std::size_t{4}, sizeof(StatusRecord)}) {
    StatusPipe pipe = create_status_pipe();
    const StatusRecord record = failure(0, 1);
    write(pipe, &record, size);
    BOOST_TEST(!pipe.reader.next());  // and does not wait for the rest
    BOOST_TEST(!pipe.reader.is_over());
    pipe.writer.close();
    BOOST_TEST(!pipe.reader.next());
    BOOST_TEST(pipe.reader.is_over());
  }
}

BOOST_AUTO_TEST_CASE(what_is_no_record_is_the_end) {
  StatusRecord unknown = failure(0);
  unknown.kind = static_cast<Kind>(7);
  constexpr auto last = static_cast<std::int32_t>(Step::run_service);
  for (const StatusRecord& forged : {failure(-1), failure(last + 1), failure(1 << 30), unknown,
                                     failure(0, longest_status_text + 1), failure(0, UINT32_MAX)}) {
    StatusPipe pipe = create_status_pipe();
    write(pipe, &forged, sizeof forged);
    pipe.writer.send_ready();
    BOOST_TEST(!pipe.reader.next());
    BOOST_TEST(pipe.reader.is_over());
  }
  StatusPipe pipe = create_status_pipe();
  const StatusRecord valid = failure(last);
  write(pipe, &valid, sizeof valid);
  BOOST_TEST((pipe.reader.next().value().step == Step::run_service));
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
