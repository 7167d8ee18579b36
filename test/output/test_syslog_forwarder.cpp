// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE syslog_forwarder
#include "base/graces.hpp"
#include "output/syslog_forwarder.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <syslog.h>

#include <boost/test/unit_test.hpp>
#include <regex>
#include <thread>

#include "listener.hpp"
#include "scene.hpp"

using daemonctx::LineReader;
using daemonctx::SyslogForwarder;

namespace {

constexpr pid_t worker = 4711;

void print(int fd, const std::string& text) {
  BOOST_REQUIRE(::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
}

// The record without its time of day. A record that has none equals no text that a test expects.
std::string without_time(const std::string& record) {
  static const std::regex time(
      "^(<[0-9]+>)(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ 123][0-9] [0-9]{2}:[0-9]{2}:[0-9]{2} ");
  return std::regex_replace(record, time, "$1 ");
}

SyslogForwarder::Clock::time_point in_a_second() {
  return SyslogForwarder::Clock::now() + std::chrono::seconds(1);
}

struct Stage {
  scene::Scene scene;
  scene::Listener syslog{scene.path("log")};
  SyslogForwarder pump{"probe", LOG_DAEMON, scene.path("log")};
  std::string own = std::to_string(::getpid());

  std::string next() const { return without_time(syslog.next().text); }

  // Pumps until `condition` holds, also while the forwarder puts its next attempt off.
  void pump_until(const std::function<bool()>& condition) {
    BOOST_REQUIRE(scene::eventually([&] {
      pump.pump(worker);
      return condition();
    }));
  }
  void fill_syslog() {
    while (true) {
      print(pump.worker_end(), "filler\n");
      pump.pump(worker);
      if (pump.is_blocked()) return;
    }
  }
  std::size_t empty_syslog() const {
    std::size_t count = 0;
    while (syslog.next().text != "nothing") ++count;
    return count;
  }
};

}  // namespace

BOOST_FIXTURE_TEST_CASE(each_line_is_a_record_with_the_pid_that_printed_it, Stage) {
  print(pump.worker_end(), "one\ntwo\nunfinished");
  print(pump.monitor_end(), "three\n");
  pump.pump(worker);
  BOOST_TEST(next() == "<30> probe[4711]: one");
  BOOST_TEST(next() == "<30> probe[4711]: two");
  BOOST_TEST(next() == "<27> probe[" + own + "]: three");
  BOOST_TEST(next() == "nothing");
  print(pump.worker_end(), " line\n");
  pump.pump(0);
  BOOST_TEST(next() == "<30> probe: unfinished line");
}

BOOST_FIXTURE_TEST_CASE(a_line_may_state_its_priority, Stage) {
  print(pump.worker_end(), "<3>disk full\n<7>details\nplain\n<8>no priority\n<3\n<11>x\n <3>y\n");
  pump.pump(worker);
  BOOST_TEST(next() == "<27> probe[4711]: disk full");
  BOOST_TEST(next() == "<31> probe[4711]: details");
  BOOST_TEST(next() == "<30> probe[4711]: plain");
  BOOST_TEST(next() == "<30> probe[4711]: <8>no priority");
  BOOST_TEST(next() == "<30> probe[4711]: <3");
  BOOST_TEST(next() == "<30> probe[4711]: <11>x");
  BOOST_TEST(next() == "<30> probe[4711]:  <3>y");
  BOOST_TEST(next() == "nothing");
}

BOOST_FIXTURE_TEST_CASE(empty_lines_are_none_and_a_nul_does_not_end_one, Stage) {
  print(pump.worker_end(), std::string("\n\n<3>\na\0b\n", 10));
  pump.pump(worker);
  BOOST_TEST(next() == "<30> probe[4711]: a b");
  BOOST_TEST(next() == "nothing");
}

BOOST_FIXTURE_TEST_CASE(no_control_character_but_a_tab_is_passed_on, Stage) {
  print(pump.worker_end(), "a\x1b[2J\rb\tc\n");
  pump.pump(worker);
  BOOST_TEST(next() == "<30> probe[4711]: a [2J b\tc");
}

BOOST_FIXTURE_TEST_CASE(the_facility_is_the_one_that_was_asked_for, Stage) {
  SyslogForwarder local("other", LOG_LOCAL7, scene.path("log"));
  print(local.worker_end(), "<0>fire\n");
  local.pump(worker);
  BOOST_TEST(next() == "<184> other[4711]: fire");
}

BOOST_FIXTURE_TEST_CASE(a_line_that_is_too_long_comes_in_pieces_of_its_priority, Stage) {
  const std::string start = "<4>" + std::string(LineReader::longest_line - 3, 'x');
  print(pump.worker_end(),
        start + std::string(LineReader::longest_line, '\n').replace(0, 8, "<5>yyyyy") + "after\n");
  for (int n = 0; n < 3; ++n) pump.pump(worker);
  BOOST_TEST(next() == "<28> probe[4711]: " + start.substr(3));
  BOOST_TEST(next() == "<28> probe[4711]: <5>yyyyy");
  BOOST_TEST(next() == "<30> probe[4711]: after");
}

BOOST_FIXTURE_TEST_CASE(the_end_of_a_worker_is_the_end_of_its_line, Stage) {
  const std::string much(60000, 'm');
  print(pump.worker_end(), much + "\nlast wor");
  pump.finish(worker, in_a_second());
  std::string said;
  for (std::string record = next(); record != "nothing"; record = next()) {
    BOOST_TEST(record.rfind("<30> probe[4711]: ", 0) == 0);
    said += record.substr(18);
  }
  BOOST_TEST(said == much + "last wor");
  print(pump.worker_end(), "first word\n");
  pump.pump(worker + 1);
  BOOST_TEST(next() == "<30> probe[4712]: first word");
}

// The lines are so long that one read returns only a few.
BOOST_FIXTURE_TEST_CASE(every_line_of_an_ended_worker_is_forwarded, Stage) {
  constexpr int count = 10;
  const std::string part(4200, 'x');
  for (int n = 0; n < count; ++n) print(pump.worker_end(), std::to_string(n) + part + '\n');
  print(pump.worker_end(), "rest");
  std::vector<std::string> records;
  std::thread syslogd([&] {
    while (records.size() <= count) records.push_back(without_time(syslog.await().text));
  });
  pump.finish(worker, SyslogForwarder::Clock::now() + scene::patience);
  syslogd.join();
  for (int n = 0; n < count; ++n) BOOST_TEST(records[n] == "<30> probe[4711]: " + std::to_string(n) + part);
  BOOST_TEST(records.back() == "<30> probe[4711]: rest");
}

BOOST_FIXTURE_TEST_CASE(a_monitor_never_waits_for_itself, Stage) {
  const std::string line(999, 'x');
  constexpr std::size_t printed = 3000;
  for (int round = 0; round < 2; ++round) {  // the lines of the first round are gone
    for (std::size_t n = 0; n < printed; ++n) print(pump.monitor_end(), line + '\n');
    for (std::size_t received = 0; received < printed;) {
      pump.pump(0);
      const std::size_t more = empty_syslog();
      BOOST_REQUIRE(more > 0U);
      received += more;
    }
    pump.pump(0);
    BOOST_TEST(next() == "nothing");
    struct stat file {};
    BOOST_TEST(::fstat(pump.monitor_end(), &file) == 0);
    BOOST_TEST(file.st_size == 0);
  }
}

BOOST_FIXTURE_TEST_CASE(nothing_is_lost_while_the_syslog_service_is_restarted, Stage) {
  syslog.close();
  ::unlink(syslog.name().c_str());
  print(pump.worker_end(), "one\ntwo\n");
  pump.pump(worker);
  std::vector<pollfd> events;
  pump.append_events(events);
  BOOST_TEST(events.empty());
  BOOST_TEST((pump.next_attempt() <= SyslogForwarder::Clock::now() + std::chrono::seconds(1)));
  const scene::Listener next_syslog(syslog.name());
  pump.pump(worker);
  BOOST_TEST(without_time(next_syslog.next().text) == "<30> probe[4711]: one");
  BOOST_TEST(without_time(next_syslog.next().text) == "<30> probe[4711]: two");
  pump.append_events(events);
  BOOST_TEST(events.size() == 1U);
}

BOOST_FIXTURE_TEST_CASE(a_syslog_service_that_hangs_is_given_up_for_another_in_its_place, Stage) {
  fill_syslog();
  ::unlink(syslog.name().c_str());
  const scene::Listener next_syslog(syslog.name());
  pump_until([&] { return !pump.is_blocked(); });
  print(pump.worker_end(), "here\n");
  pump.pump(worker);
  BOOST_TEST(without_time(next_syslog.next().text) == "<28> probe[" + own + "]: 1 line was lost");
  BOOST_TEST(without_time(next_syslog.next().text) == "<30> probe[4711]: here");
}

BOOST_FIXTURE_TEST_CASE(a_busy_syslog_service_is_waited_for, Stage) {
  fill_syslog();
  std::vector<pollfd> events;
  pump.append_events(events);
  BOOST_REQUIRE(events.size() == 1U);
  BOOST_TEST(::poll(events.data(), 1, 0) == 0);
  const auto held = empty_syslog();
  BOOST_TEST(held > 5U);
  BOOST_TEST(::poll(events.data(), 1, 0) == 1);
  pump.pump(worker);
  BOOST_TEST(next() == "<30> probe[4711]: filler");
  BOOST_TEST(next() == "nothing");
}

BOOST_FIXTURE_TEST_CASE(lines_that_syslog_does_not_take_for_long_are_lost_and_counted, Stage) {
  fill_syslog();
  const auto begin = SyslogForwarder::Clock::now();
  const auto gave_up = [&] { return !pump.is_blocked(); };
  pump_until(gave_up);
  BOOST_TEST(
      (SyslogForwarder::Clock::now() - begin >= daemonctx::graces::syslog - std::chrono::milliseconds(50)));
  print(pump.worker_end(), "also lost\n");
  pump.pump(worker);  // lost at once, without a wait
  BOOST_TEST(gave_up());
  empty_syslog();
  print(pump.worker_end(), "here again\n");
  pump.pump(worker);
  BOOST_TEST(next() == "<28> probe[" + own + "]: 2 lines were lost");
  BOOST_TEST(next() == "<30> probe[4711]: here again");
  BOOST_TEST(next() == "nothing");
}

BOOST_FIXTURE_TEST_CASE(finish_waits_no_longer_than_its_limit, Stage) {
  fill_syslog();
  for (int n = 0; n < 1000; ++n) print(pump.worker_end(), "more\n");
  const auto limit = in_a_second();
  pump.finish(worker, limit);
  BOOST_TEST((SyslogForwarder::Clock::now() >= limit));
  BOOST_TEST(!pump.is_blocked());
  empty_syslog();
  print(pump.worker_end(), "here again\n");
  pump.pump(worker);
  BOOST_TEST(next() == "<28> probe[" + own + "]: 1001 lines were lost");
}

BOOST_FIXTURE_TEST_CASE(a_worker_keeps_its_end_of_the_pipe_and_nothing_else, Stage) {
  std::vector<int> all;
  pump.append_descriptors(all);
  BOOST_TEST(all.size() == 4U);
  for (const int fd : all) BOOST_TEST(::fcntl(fd, F_GETFD) == FD_CLOEXEC);
  const int kept = pump.worker_end();
  ::fcntl(kept, F_SETFL, O_WRONLY | O_NONBLOCK);  // as an earlier worker may have set it
  pump.leave_to_worker();
  BOOST_TEST((::fcntl(kept, F_GETFL) & O_NONBLOCK) == 0);
  for (const int fd : all) BOOST_TEST((::fcntl(fd, F_GETFD) != -1) == (fd == kept));
}

BOOST_FIXTURE_TEST_CASE(a_forwarder_goes_on_with_the_pipe_of_another, Stage) {
  print(pump.worker_end(), "whole\nhalf of ");
  pump_until([&] { return !pump.worker_lines().rest().empty(); });
  BOOST_TEST(next() == "<30> probe[4711]: whole");
  const LineReader& lines = pump.worker_lines();
  SyslogForwarder heir("heir", LOG_DAEMON, scene.path("log"),
                       {daemonctx::UniqueFd(::dup(lines.reader())),
                        daemonctx::UniqueFd(::dup(lines.writer())), std::string(lines.rest())});
  print(pump.worker_end(), "a line\n");
  heir.pump(worker);
  BOOST_TEST(next() == "<30> heir[4711]: half of a line");
}

BOOST_AUTO_TEST_CASE(without_a_syslog_service_there_is_no_pump) {
  const scene::Scene scene;
  try {
    const SyslogForwarder pump("probe", LOG_DAEMON, scene.path("none"));
    BOOST_ERROR("the forwarder was made");
  } catch (const std::system_error& error) {
    BOOST_TEST((error.code() == std::errc::no_such_file_or_directory));
  }
}
