// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE hand_over

#include "upgrade/hand_over.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <stdexcept>

#include "upgrade/program.hpp"

using daemonctx::HandOver;

namespace {

std::string refusal_of(const std::string& text) {
  try {
    HandOver::parse(text);
    return "none";
  } catch (const std::runtime_error& error) {
    return error.what();
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE(what_is_written_reads_the_same) {
  const HandOver record{.mode = daemonctx::LaunchMode::managed,
                        .requester = 4194304,
                        .finished = 3,
                        .pidfile = 4,
                        .status = 5,
                        .channel = 6,
                        .output = 7,
                        .error = 8,
                        .memory = 9,
                        .sockets = {{"web\t[::1]:80", 10}, {"a b\t/run/x y", 11}},
                        .passed = {{"unknown", 12}}};
  const HandOver read = HandOver::parse(record.to_text());
  BOOST_TEST(read.to_text() == record.to_text());
  BOOST_TEST(read.requester == 4194304);
  BOOST_TEST((read.mode == daemonctx::LaunchMode::managed));
  BOOST_TEST(read.sockets.at(1).name == "a b\t/run/x y");
  BOOST_TEST(read.descriptors() == (std::vector<int>{4, 5, 6, 7, 8, 9, 10, 11, 12}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(what_a_monitor_is_given_reads_the_same) {
  const HandOver record{
      .role = HandOver::Role::monitor,
      .reloads = 7,
      .pidfile = 4,
      .worker_pidfile = 5,
      .program = 6,
      .pumps = {{.reader = 7, .writer = 8, .rest = -1}, {.reader = 9, .writer = 10, .rest = 11}},
      .workers = {{.pid = 100, .number = 2, .began = 1, .mapped = 1, .is_ready = true, .connection = 12},
                  {.pid = 99, .number = 1, .offers_reload = true, .lifeline = 13, .notes = 14}},
      .last_end = daemonctx::WorkerEnd{.worker_number = 1, .signal = 11, .hung = true, .fault_address = 16}};
  const HandOver read = HandOver::parse(record.to_text());
  BOOST_TEST(read.to_text() == record.to_text());
  BOOST_TEST((read.role == HandOver::Role::monitor));
  BOOST_TEST(read.workers.at(0).is_ready);
  BOOST_TEST(!read.workers.at(0).offers_reload);
  BOOST_TEST(read.workers.at(1).lifeline == 13);
  BOOST_TEST(read.workers.at(1).connection == -1);
  BOOST_TEST(read.pumps.at(1).rest == 11);
  BOOST_TEST(read.last_end->fault_address.value() == 16U);
  BOOST_TEST(read.last_end->hung);
  BOOST_TEST(read.descriptors() == (std::vector<int>{4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14}),
             boost::test_tools::per_element());
  BOOST_TEST(refusal_of("daemonctx-hand-over 1\nrole 3\n") == "its record has an unknown role");
  BOOST_TEST(refusal_of("daemonctx-hand-over 1\npump 1 x -\n") ==
             "its record says \"x\" in place of a number");
}

BOOST_AUTO_TEST_CASE(what_a_worker_is_given_reads_the_same) {
  const HandOver record{.role = HandOver::Role::worker,
                        .number = 3,
                        .monitor = 98,
                        .connection = 4,
                        .lifeline = 5,
                        .notes = 6,
                        .service_memory = 7,
                        .pump_count = 1,
                        .opens = {"/etc/key of mine", "/etc/b"}};
  const HandOver read = HandOver::parse(record.to_text());
  BOOST_TEST(read.to_text() == record.to_text());
  BOOST_TEST(read.opens.at(0) == "/etc/key of mine");
  BOOST_TEST(read.monitor == 98);
}

BOOST_AUTO_TEST_CASE(what_is_not_given_is_not_there) {
  const HandOver read = HandOver::parse(HandOver{.pidfile = 4}.to_text());
  BOOST_TEST(read.memory == -1);
  BOOST_TEST(read.descriptors() == std::vector<int>{4}, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(another_version_is_refused_with_words) {
  BOOST_TEST(refusal_of("daemonctx-hand-over 2\n") ==
             "its record has version 2, and this program knows only version 1");
  BOOST_TEST(refusal_of("daemonctx-hand-over 1\nshape 5\n") ==
             "its record has a line \"shape\", which this program does not know");
  BOOST_TEST(refusal_of("daemonctx-hand-over 1\npidfile -3\n") ==
             "its record says \"-3\" in place of a number");
  BOOST_TEST(refusal_of("daemonctx-hand-over 1\npidfile\n") == "its record says \"\" in place of a number");
  BOOST_TEST(refusal_of("daemonctx-hand-over\n") == "its record says \"\" in place of a number");
  BOOST_TEST(refusal_of("") == "it gave no record");
  BOOST_TEST(refusal_of("something else") == "it gave no record");
}

BOOST_AUTO_TEST_CASE(a_program_is_noted_as_it_was_started) {
  ::setenv("WATCHDOG_PID", "1", 1);
  ::setenv("KEPT", "yes", 1);
  const auto program = daemonctx::Program::of_this_process();
  BOOST_TEST(program.file.front() == '/');
  BOOST_TEST(program.arguments.front().find("test_hand_over") != std::string::npos);
  const auto has = [&](const std::string& variable) {
    return std::count(program.environment.begin(), program.environment.end(), variable) == 1;
  };
  BOOST_TEST(has("KEPT=yes"));
  BOOST_TEST(!has("WATCHDOG_PID=1"));
}
