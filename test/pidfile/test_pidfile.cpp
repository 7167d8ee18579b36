// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE pidfile
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <fstream>

#include "daemonctx/error.hpp"
#include "pidfile/locks.hpp"
#include "pidfile/pidfile.hpp"
#include "scene.hpp"

using daemonctx::DaemonError;
using daemonctx::Pidfile;
using scene::Scene;
using namespace std::chrono_literals;

namespace {

Pidfile lock(const Scene& scene, daemonctx::Timeout timeout) {
  daemonctx::Ticker silent;
  return Pidfile::lock(scene.path("pid"), 0644, timeout, silent);
}

mode_t mode_of(const std::string& file) {
  struct stat found {};
  ::stat(file.c_str(), &found);
  return found.st_mode & 07777;
}

bool says_already_running(const DaemonError& error) {
  return error.step() == daemonctx::Step::lock_pidfile && error.code() == std::errc::file_exists;
}

int rounds() { return scene::rounds(std::stoi(scene::argument(2))); }

// The words for a daemon that reports whether it is the only one. A lock on the file "witness" decides that,
// independently of the pidfile.
scene::Words daemon_with_witness(const Scene& scene, const std::string& lock_timeout) {
  return {"daemon", "pidfile=" + scene.path("pid"), "lock_timeout=" + lock_timeout,
          "witness:" + scene.path("witness"), "wait"};
}

pid_t expect_alone(Scene& scene) {
  const std::string line = scene.next();
  BOOST_REQUIRE_EQUAL(line.substr(0, 6), "alone ");
  return std::stoi(line.substr(6));
}

void stop(Scene& scene, pid_t daemon) {
  ::kill(daemon, SIGTERM);
  scene.expect("stop");
  scene::await_end(daemon);
}

std::vector<scene::Running> start_many(const Scene& scene, int count, const scene::Words& words) {
  std::vector<scene::Running> all;
  all.reserve(static_cast<std::size_t>(count));
  for (int n = 0; n < count; ++n) all.push_back(scene.start_probe(words));
  return all;
}

struct Count {
  int succeeded = 0;
  std::vector<std::string> refusals;
};

Count finish(std::vector<scene::Running>& all) {
  Count count;
  for (auto& caller : all) {
    const auto result = caller.finish();
    if (result.end.exited(0)) ++count.succeeded;
    else count.refusals.push_back(result.err);
  }
  return count;
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_pidfile_is_created_with_the_given_mode_and_names_its_process) {
  Scene scene;
  const mode_t former = ::umask(0777);
  Pidfile pidfile = lock(scene, 0ms);
  ::umask(former);
  BOOST_TEST(mode_of(scene.path("pid")) == 0644U);
  BOOST_TEST(scene::contents(scene.path("pid")).empty());
  BOOST_TEST(pidfile.claim() == 0);
  BOOST_TEST(scene::contents(scene.path("pid")) == std::to_string(::getpid()) + '\n');
  pidfile.remove();
  BOOST_TEST(!scene::exists(scene.path("pid")));
  pidfile.remove();  // a second call does nothing
}

BOOST_AUTO_TEST_CASE(a_stale_file_is_left_alone_until_it_is_claimed) {
  Scene scene;
  scene::write_file(scene.path("pid"), "999999999999\n");
  Pidfile pidfile = lock(scene, 0ms);
  BOOST_TEST(scene::contents(scene.path("pid")) == "999999999999\n");
  BOOST_TEST(pidfile.claim() == 0);
  BOOST_TEST(scene::contents(scene.path("pid")) == std::to_string(::getpid()) + '\n');
}

BOOST_AUTO_TEST_CASE(the_pid_of_a_living_process_in_the_file_prevents_no_start) {
  Scene scene;
  // The pids of living processes that are not the daemon: the test, process 1, and the leader of the test's
  // process group.
  for (const std::string& text :
       {std::to_string(::getpid()), std::string("1"), std::to_string(::getpgrp())}) {
    scene::write_file(scene.path("pid"), text + '\n');
    BOOST_TEST(scene.run_probe({"daemon", "pidfile=" + scene.path("pid"), "facts", "wait"}).end.exited(0));
    const pid_t daemon = std::stoi(scene.facts().at("pid"));
    BOOST_TEST(scene::pid_in(scene.path("pid")) == daemon);
    ::kill(daemon, SIGTERM);
    scene.expect("stop");
    scene::await_end(daemon);
  }
}

BOOST_AUTO_TEST_CASE(the_kernel_names_the_holder) {
  Scene scene;
  scene.run_probe({"daemon", "pidfile=" + scene.path("pid"), "facts", "wait"});
  const pid_t daemon = std::stoi(scene.facts().at("pid"));
  scene::write_file(scene.path("pid"), "1\n");  // forged
  const daemonctx::UniqueFd fd(::open(scene.path("pid").c_str(), O_RDONLY | O_CLOEXEC));
  BOOST_TEST(daemonctx::posix::identity_holder(fd.get()).pid == daemon);
  BOOST_CHECK_EXCEPTION(lock(scene, 0ms), DaemonError, [&](const DaemonError& error) {
    return says_already_running(error) && error.pid() == daemon &&
           error.what() ==
               "already running, pid " + std::to_string(daemon) + " (pidfile \"" + scene.path("pid") + "\")";
  });
}

BOOST_AUTO_TEST_CASE(a_waiting_start_gives_up_after_its_timeout) {
  Scene scene;
  scene.run_probe({"daemon", "pidfile=" + scene.path("pid"), "facts", "wait"});
  scene.facts();
  const auto begin = std::chrono::steady_clock::now();
  BOOST_CHECK_EXCEPTION(lock(scene, 100ms), DaemonError, says_already_running);
  BOOST_TEST((std::chrono::steady_clock::now() - begin >= 100ms));
}

BOOST_AUTO_TEST_CASE(a_waiting_start_takes_over_from_a_daemon_that_ends) {
  Scene scene;
  scene.run_probe({"daemon", "pidfile=" + scene.path("pid"), "facts", "wait"});
  const pid_t first = std::stoi(scene.facts().at("pid"));
  auto second = scene.start_probe(
      {"say:starting", "daemon", "pidfile=" + scene.path("pid"), "lock_timeout=30000", "facts", "wait"});
  scene.expect("starting");
  ::kill(first, SIGTERM);
  scene.expect("stop");
  BOOST_TEST(second.finish().end.exited(0));
  BOOST_TEST(scene::pid_in(scene.path("pid")) == std::stoi(scene.facts().at("pid")));
}

// People and service managers read the file at any moment.
BOOST_AUTO_TEST_CASE(a_reader_never_sees_the_file_empty_while_a_new_pid_replaces_an_old_one) {
  const Scene scene;
  const std::string path = scene.path("pid");
  scene::write_file(path, "7654321\n");
  const int reader = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const pid_t writer = ::fork();
  if (writer == 0) {
    const int old = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
    for (int round = 0; round < 5000; ++round) {
      if (::pwrite(old, "7654321\n", 8, 0) != 8) ::_exit(2);
      if (lock(scene, 0ms).claim() != 0) ::_exit(3);
    }
    ::_exit(0);
  }
  int empty = 0;
  for (siginfo_t end{}; end.si_pid == 0;) {
    std::array<char, 16> text{};
    if (::pread(reader, text.data(), text.size(), 0) <= 0) ++empty;
    ::waitid(P_PID, static_cast<id_t>(writer), &end, WEXITED | WNOHANG | WNOWAIT);
  }
  ::close(reader);
  BOOST_TEST(scene::await_end(writer).exited(0));
  BOOST_TEST(empty == 0);
}

BOOST_AUTO_TEST_CASE(a_lock_on_a_file_that_was_replaced_is_no_lock) {
  Scene scene;
  // In each round a child unlinks the pidfile while `lock` creates and locks it. If the path then leads to a
  // file, the lock must be on that file.
  for (int round = 0; round < 200; ++round) {
    ::unlink(scene.path("pid").c_str());
    const pid_t unlinker = ::fork();
    if (unlinker == 0) {
      ::unlink(scene.path("pid").c_str());
      ::_exit(0);
    }
    Pidfile pidfile = lock(scene, 0ms);
    ::waitpid(unlinker, nullptr, 0);
    struct stat held {};
    ::fstat(pidfile.fd(), &held);
    // The child may unlink the file after the check in `lock`. Then the path leads to no file, and `remove`
    // must accept that.
    BOOST_TEST((held.st_nlink == 1) == scene::exists(scene.path("pid")));
    pidfile.remove();
  }
}

BOOST_AUTO_TEST_CASE(of_64_starts_at_once_one_succeeds_and_63_name_its_daemon) {
  Scene scene;
  for (int round = 0; round < 5; ++round) {
    auto callers = start_many(scene, 64, {"daemon", "pidfile=" + scene.path("pid"), "facts", "wait"});
    const Count count = finish(callers);
    BOOST_TEST(count.succeeded == 1);
    const auto facts = scene.facts();
    const std::string refusal = "already running, pid " + facts.at("pid") + " (pidfile";
    for (const std::string& text : count.refusals) BOOST_TEST(text.find(refusal) != std::string::npos, text);
    BOOST_TEST(!scene.has_line());
    ::kill(std::stoi(facts.at("pid")), SIGTERM);
    scene.expect("stop");
    scene::await_end(std::stoi(facts.at("pid")));
    BOOST_TEST(scene::children().empty());
  }
}

BOOST_AUTO_TEST_CASE(of_16_starts_while_the_old_daemon_ends_at_most_one_succeeds) {
  Scene scene;
  pid_t daemon = 0;  // 0: none runs
  for (int round = 0; round < rounds(); ++round) {
    if (daemon == 0) {
      BOOST_REQUIRE(scene.run_probe(daemon_with_witness(scene, "0")).end.exited(0));
      daemon = expect_alone(scene);
    }
    auto callers = start_many(scene, 16, daemon_with_witness(scene, "0"));
    stop(scene, daemon);
    const Count count = finish(callers);
    BOOST_REQUIRE_LE(count.succeeded, 1);
    daemon = count.succeeded == 1 ? expect_alone(scene) : 0;
    BOOST_REQUIRE(!scene.has_line());
  }
}

BOOST_AUTO_TEST_CASE(of_16_waiting_starts_each_succeeds_in_turn_and_never_two_at_once) {
  Scene scene;
  BOOST_REQUIRE(scene.run_probe(daemon_with_witness(scene, "0")).end.exited(0));
  pid_t daemon = expect_alone(scene);
  for (int round = 0; round < rounds(); ++round) {
    auto callers = start_many(scene, 16, daemon_with_witness(scene, "60000"));
    for (int turn = 0; turn < 16; ++turn) {
      stop(scene, daemon);
      daemon = expect_alone(scene);
    }
    BOOST_REQUIRE_EQUAL(finish(callers).succeeded, 16);
    BOOST_REQUIRE(!scene.has_line());
  }
}
