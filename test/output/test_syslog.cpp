// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE syslog

// Output that goes to syslog, as the syslog service receives it. Without root the test exits with 77.

#include <boost/filesystem/fstream.hpp>
#include <regex>
#include <set>

#include "listener.hpp"
#include "stage.hpp"

using scene::NeedsRoot;
using scene::Words;

namespace {

// A /dev that holds only the null device, urandom, and what a test puts there.
struct PrivateDevices {
  PrivateDevices() {
    scene::have_private_mounts();
    const scene::Scene scene;
    const std::string devices = scene.path("dev");
    ::mkdir(devices.c_str(), 0755);
    BOOST_REQUIRE(::mount("/dev", devices.c_str(), nullptr, MS_BIND, nullptr) == 0);
    BOOST_REQUIRE(::mount("tmpfs", "/dev", "tmpfs", 0, nullptr) == 0);
    for (const std::string name : {"/null", "/urandom"}) {
      boost::filesystem::ofstream("/dev" + name);
      BOOST_REQUIRE(::mount((devices + name).c_str(), ("/dev" + name).c_str(), nullptr, MS_BIND, nullptr) ==
                    0);
    }
    BOOST_REQUIRE(::umount2(devices.c_str(), MNT_DETACH) == 0);
  }
};

struct Stage : scene::Stage {
  scene::Listener syslog{"/dev/log"};

  Stage() { ::chmod("/dev/log", 0666); }
  ~Stage() { ::unlink("/dev/log"); }

  // The next record without its time of day and its pid, which differ each time.
  std::string next() const {
    static const std::regex changing("^(<[0-9]+>)[A-Z][a-z]{2} .[0-9] [0-9:]{8} ([^\\[]*)\\[[0-9]+\\]: ");
    return std::regex_replace(syslog.await().text, changing, "$1 $2: ");
  }
  bool says_nothing_more() const { return syslog.next().text == "nothing"; }
};

const Words to_syslog = {"out=syslog:probe", "err=syslog:probe"};

Words with(Words words, const Words& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

}  // namespace

BOOST_TEST_GLOBAL_FIXTURE(NeedsRoot);
BOOST_TEST_GLOBAL_FIXTURE(PrivateDevices);

BOOST_FIXTURE_TEST_CASE(lines_go_to_syslog_under_their_name_and_facility, Stage) {
  const auto result =
      run({"out=syslog:probe", "err=syslog:probe_errors:23", "print:one", "eprint:<3>two", "print:three"});
  BOOST_TEST(result.err == "");
  BOOST_TEST(result.end.exited(0));
  std::set<std::string> records = {next(), next(), next()};
  BOOST_TEST(records.count("<30> probe: one") == 1U);
  BOOST_TEST(records.count("<30> probe: three") == 1U);
  BOOST_TEST(records.count("<187> probe_errors: two") == 1U);
}

BOOST_FIXTURE_TEST_CASE(records_have_the_pid_of_the_service, Stage) {
  const auto facts = start(with(to_syslog, {"print:here"}));
  const auto record = syslog.await();
  BOOST_TEST(record.text.find(" probe[" + facts.at("pid") + "]: here") != std::string::npos);
  BOOST_TEST(std::to_string(record.pid) == facts.at("ppid"));
  ::kill(record.pid, SIGTERM);
  scene.expect("stop");
  BOOST_TEST(scene::await_end(record.pid).exited(0));
}

BOOST_FIXTURE_TEST_CASE(until_it_is_ready_a_service_prints_to_its_caller, Stage) {
  const auto result = run(with(to_syslog, {"readiness=notified", "print:early", "ready", "print:late"}));
  BOOST_TEST(result.out == "early\n");
  BOOST_TEST(next() == "<30> probe: late");
  BOOST_TEST(says_nothing_more());
}

BOOST_FIXTURE_TEST_CASE(each_later_worker_prints_to_syslog_from_its_beginning_on, Stage) {
  const auto result = run(with(to_syslog, {"respawn=first:1,most:2,window:60000", "readiness=notified",
                                           "tell_worker", "print:early", "ready", "print:late", "return:3"}));
  BOOST_TEST(result.end.exited(0));
  BOOST_TEST(result.out == "early\n");
  for (int n = 1; n <= 3; ++n) {
    if (n > 1) BOOST_TEST(next() == "<30> probe: early");
    BOOST_TEST(next() == "<30> probe: late");
    BOOST_TEST(next().find("(number " + std::to_string(n) + ") exited with code 3 after ") !=
               std::string::npos);
  }
  BOOST_TEST(next().find("monitor: given up after 2 restarts within 60000 ms: ") != std::string::npos);
}

BOOST_FIXTURE_TEST_CASE(the_last_lines_of_a_crashed_worker_are_kept_and_no_other_follows, Stage) {
  const auto result = run(with(to_syslog, {"pidfile=" + pidfile, "print:last words", "raise:9"}));
  BOOST_TEST(result.end.exited(0));
  BOOST_TEST(next() == "<30> probe: last words");
  const std::string report = next();
  BOOST_TEST(report.rfind("<27> probe: daemon_probe: monitor: worker ", 0) == 0U);
  BOOST_TEST(report.find("(number 1) was killed by SIGKILL after ") != std::string::npos);
  const auto monitor = scene::children();
  BOOST_REQUIRE(monitor.size() == 1U);
  BOOST_TEST(scene::await_end(monitor[0]).exited(128 + SIGKILL));
  BOOST_TEST(!scene::exists(pidfile));
  BOOST_TEST(says_nothing_more());
}

BOOST_FIXTURE_TEST_CASE(another_user_in_another_root_directory_prints_to_syslog_too, Stage) {
  const std::string root = scene.path("root");
  ::mkdir(root.c_str(), 0755);
  use_probe_of_its_own();
  const auto result =
      run(with(to_syslog, {"chroot=" + root, "user=nobody", "print:from afar"}), scene::forgo_leak_check);
  BOOST_TEST(result.err == "");
  BOOST_TEST(result.end.exited(0));
  BOOST_TEST(next() == "<30> probe: from afar");
}

BOOST_FIXTURE_TEST_CASE(a_burst_arrives_whole_and_in_order, Stage) {
  const auto running = run(with(to_syslog, {"lines:2000"}));
  BOOST_TEST(running.end.exited(0));
  for (int n = 0; n < 2000; ++n) {
    const std::string expected = "<30> probe: line " + std::to_string(n) + '.';
    BOOST_REQUIRE(next().rfind(expected, 0) == 0);
  }
  scene.expect("2000 lines");
  BOOST_TEST(says_nothing_more());
}

BOOST_FIXTURE_TEST_CASE(a_service_in_the_foreground_prints_to_syslog_too, Stage) {
  const auto result = run(with(to_syslog, {"detach=never", "print:one", "return:4"}));
  BOOST_TEST(result.end.exited(4));
  BOOST_TEST(result.out == "");
  BOOST_TEST(next() == "<30> probe: one");
  BOOST_TEST(next().find("exited with code 4 after ") != std::string::npos);
}

BOOST_FIXTURE_TEST_CASE(a_syslog_service_that_hangs_does_not_keep_the_service_from_ending, Stage) {
  const auto result = run(with(to_syslog, {"pidfile=" + pidfile, "lines:100"}));
  BOOST_TEST(result.end.exited(0));
  scene.expect("100 lines");
  BOOST_TEST(scene::eventually([&] { return !scene::exists(pidfile); }));
}

BOOST_FIXTURE_TEST_CASE(a_worker_that_waits_for_a_hanging_syslog_service_does_not_hang_itself, Stage) {
  const auto result =
      run(with(to_syslog, {"respawn=first:1,hang:500", "tell_worker", "lines:3000", "tell_worker"}));
  BOOST_TEST(result.end.exited(0));
  BOOST_TEST(scene.next().rfind("worker 1 ", 0) == 0U);
  scene.expect("3000 lines");
  BOOST_TEST(scene.next().rfind("worker 1 ", 0) == 0U);
}

BOOST_FIXTURE_TEST_CASE(no_line_that_on_worker_end_prints_is_lost, Stage) {
  const auto result = run(with(to_syslog, {"respawn=first:1,most:1,print:3000", "return:3"}));
  BOOST_TEST(result.end.exited(0));
  for (int worker = 1; worker <= 2; ++worker) {
    BOOST_TEST(next().find("exited with code 3 after ") != std::string::npos);
    for (int n = 0; n < 3000; ++n) BOOST_REQUIRE(next() == "<27> probe: report " + std::to_string(n));
  }
  BOOST_TEST(next().find("given up after 1 restarts") != std::string::npos);
}

BOOST_FIXTURE_TEST_CASE(without_a_syslog_service_there_is_no_start, Stage) {
  ::unlink("/dev/log");
  refuses(with(to_syslog, {"pidfile=" + pidfile}),
          "cannot open the file \"/dev/log\": No such file or directory");
  refuses({"out=syslog:"}, "stdio.out: the identifier for syslog is empty, or not one line");
  refuses({"err=syslog:probe:0"}, "stdio.err: 0 is not the facility of a service");
  refuses({"err=syslog:probe:24"}, "stdio.err: 192 is not the facility of a service");
}
