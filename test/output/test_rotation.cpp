// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE rotation

// Log files that are rotated while a service runs that has given up its privileges. Without root the test
// exits with 77.

#include <sstream>

#include "stage.hpp"

using scene::NeedsRoot;

namespace {

struct Stage : scene::Stage {
  std::string hidden = scene.path("hidden");
  std::string folder = hidden + "/logs";

  // The log lies in a folder that only root may write, inside one that only root may enter.
  Stage() {
    ::mkdir(hidden.c_str(), 0700);
    ::mkdir(folder.c_str(), 0755);
    log = folder + "/log";
  }
  pid_t start(const scene::Words& words) {
    scene::Words all = {"pidfile=" + pidfile, "out=" + log, "err=" + log, "signal=10:reopen", "on_error=say"};
    all.insert(all.end(), words.begin(), words.end());
    const auto result = run(all, scene::forgo_leak_check);
    BOOST_TEST(result.err == "");
    BOOST_REQUIRE(result.end.exited(0));
    return scene::pid_in(pidfile);
  }
  void stop(pid_t daemon) {
    ::kill(daemon, SIGTERM);
    scene.expect("stop");
    BOOST_TEST(scene::await_end(daemon).exited(0));
  }
  void rotate() const { BOOST_REQUIRE(::rename(log.c_str(), (log + ".1").c_str()) == 0); }
  bool eventually_holds(const std::string& file, const std::string& text) const {
    const bool found = scene::eventually([&] { return scene::contents(file) == text; });
    if (!found) BOOST_TEST_MESSAGE(file << " has: " << scene::contents(file));
    return found;
  }
};

// The numbers in the lines of the files, one after the other; -1 for a line that is not whole.
std::vector<int> numbers_in(const std::vector<std::string>& files) {
  std::vector<int> numbers;
  for (const std::string& file : files) {
    std::istringstream lines(scene::contents(file));
    for (std::string line; std::getline(lines, line);) {
      const bool whole = line.size() == 40 && line.rfind("line ", 0) == 0 && !lines.eof();
      numbers.push_back(whole ? std::stoi(line.substr(5)) : -1);
    }
  }
  return numbers;
}

}  // namespace

BOOST_TEST_GLOBAL_FIXTURE(NeedsRoot);

BOOST_FIXTURE_TEST_CASE(a_log_is_reopened_in_a_folder_that_the_user_may_not_enter, Stage) {
  const pid_t daemon = start({"user=nobody", "print:before", "wait", "print:after"});
  BOOST_TEST(eventually_holds(log, "before\n"));
  rotate();
  scene::write_file(log, "");  // as logrotate's `create 0640 nobody`
  BOOST_REQUIRE(::chown(log.c_str(), scene::nobody, 0) == 0);
  ::kill(daemon, SIGUSR1);
  stop(daemon);
  BOOST_TEST(scene::contents(log + ".1") == "before\n");
  BOOST_TEST(scene::contents(log) == "after\n");
}

BOOST_FIXTURE_TEST_CASE(a_reopen_that_is_not_permitted_keeps_the_old_file_and_says_so, Stage) {
  const pid_t daemon = start({"user=nobody", "print:before", "wait", "print:after"});
  BOOST_TEST(eventually_holds(log, "before\n"));
  rotate();
  ::kill(daemon, SIGUSR1);
  scene.expect("error in reopen output: cannot open the file \"" + log + "\": Permission denied");
  stop(daemon);
  BOOST_TEST(scene::contents(log + ".1") == "before\nafter\n");
  BOOST_TEST(!scene::exists(log));
}

BOOST_FIXTURE_TEST_CASE(a_monitor_opens_the_log_for_a_worker_that_may_not, Stage) {
  use_probe_of_its_own();
  const std::string root = scene.path("root");
  ::mkdir(root.c_str(), 0755);
  const auto reported = boost::filesystem::path(root) / scene.path("channel");
  boost::filesystem::create_directories(reported.parent_path());
  boost::filesystem::create_hard_link(scene.path("channel"), reported);
  const pid_t monitor = start({"user=nobody", "chroot=" + root, "respawn=first:1", "print:before",
                               "tell_worker", "wait", "print:after"});
  std::istringstream line(scene.next());
  std::string word;
  pid_t worker = 0;
  line >> word >> word >> word >> worker;
  BOOST_TEST(eventually_holds(log, "before\n"));
  rotate();
  ::kill(monitor, SIGUSR1);
  BOOST_TEST(scene::eventually([&] { return scene::exists(log); }));
  ::kill(worker, SIGKILL);
  BOOST_TEST(scene.next().rfind("error in monitor: worker ", 0) == 0U);
  BOOST_TEST(scene.next().rfind("worker 2 ", 0) == 0U);
  BOOST_TEST(scene::eventually([&] { return scene::contents(log).find("before\n") != std::string::npos; }));
  stop(monitor);
  BOOST_TEST(scene::contents(log + ".1") == "before\n");
  const std::string text = scene::contents(log);
  BOOST_TEST(text.substr(text.size() - 13) == "before\nafter\n");
}

BOOST_FIXTURE_TEST_CASE(logrotate_loses_and_tears_no_line_of_ten_thousand_a_second, Stage) {
  if (!scene::exists("/usr/sbin/logrotate")) {
    BOOST_TEST_MESSAGE("skipped: logrotate is not installed");
    return;
  }
  const std::string setup = scene.path("setup");
  scene::write_file(setup,
                    log + " {\n  rotate 20\n  create 0640 nobody root\n  postrotate\n    kill -USR1 $(cat " +
                        pidfile + ")\n  endscript\n}\n");
  ::chmod(setup.c_str(), 0644);
  const pid_t daemon =
      start({"user=nobody", "respawn=first:1", "lines:20000," + scene.path("enough"), "wait"});
  constexpr int rotations = 8;
  for (int n = 0; n < rotations; ++n) {
    const auto result =
        scene::Scene::run({"/usr/sbin/logrotate", "--force", "--state", scene.path("state"), setup});
    BOOST_TEST(result.end.exited(0), result.err);
    // Wait until the service uses the new file. Otherwise the next rotation would move an empty file.
    BOOST_TEST(scene::eventually([&] { return !scene::contents(log).empty(); }));
  }
  scene::write_file(scene.path("enough"), "");
  const int count = std::stoi(scene.next());
  stop(daemon);
  std::vector<std::string> files;
  for (int n = rotations; n > 0; --n) files.push_back(log + '.' + std::to_string(n));
  files.push_back(log);
  const auto numbers = numbers_in(files);
  BOOST_TEST(count >= 20000);
  BOOST_TEST(numbers.size() == static_cast<std::size_t>(count));
  for (std::size_t at = 0; at < numbers.size(); ++at) {
    if (numbers[at] != static_cast<int>(at)) BOOST_REQUIRE(numbers[at] == static_cast<int>(at));
  }
  for (const std::string& file : files) BOOST_TEST(scene::contents(file) != "");
}

BOOST_FIXTURE_TEST_CASE(a_truncated_log_goes_on_at_its_beginning, Stage) {
  const pid_t daemon = start({"user=nobody", "lines:5000", "wait"});
  BOOST_TEST(scene::eventually([&] { return scene::contents(log).size() > 4000; }));
  BOOST_REQUIRE(::truncate(log.c_str(), 0) == 0);  // as logrotate's `copytruncate`
  scene.expect("5000 lines");
  stop(daemon);
  const auto numbers = numbers_in({log});
  BOOST_REQUIRE(!numbers.empty());
  BOOST_TEST(numbers.front() > 0);
  for (std::size_t at = 0; at < numbers.size(); ++at) {
    if (numbers[at] != numbers.front() + static_cast<int>(at)) BOOST_REQUIRE(numbers[at] == -2);
  }
  BOOST_TEST(numbers.back() == 4999);
}
