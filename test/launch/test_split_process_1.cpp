// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE split_process_1

// A service that is started as process 1 of a container. Without root the test exits with 77: skipped.

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "stage.hpp"

using scene::NeedsRoot;

namespace {

void must(bool done) {
  if (!done) ::_exit(126);
}

// The probe is process 1 of a pid namespace, and sees that namespace's /proc. Its parent stays outside of the
// namespace and ends with the probe's exit code.
void as_process_1() {
  scene::forgo_leak_check();
  must(::unshare(CLONE_NEWPID | CLONE_NEWNS) == 0);
  const pid_t first = ::fork();
  if (first == 0) {
    must(scene::keep_proc_mounts_private());
    must(::mount("proc", "/proc", "proc", 0, nullptr) == 0);
    return;
  }
  ::close(STDOUT_FILENO);
  ::close(STDERR_FILENO);
  int status = 0;
  while (::waitpid(first, &status, 0) == -1) continue;
  ::_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 126);
}

struct Stage : scene::Stage {
  scene::Running begin(scene::Words words, const scene::Surroundings& surroundings = as_process_1) const {
    words.insert(words.begin(), "daemon");
    return scene::Stage::begin(std::move(words), surroundings);
  }
  // The pid outside of the namespace.
  static pid_t process_1_of(const scene::Running& container) {
    std::ifstream list("/proc/" + std::to_string(container.pid()) + "/task/" +
                       std::to_string(container.pid()) + "/children");
    pid_t first = 0;
    BOOST_REQUIRE(list >> first);
    return first;
  }
};

}  // namespace

BOOST_TEST_GLOBAL_FIXTURE(NeedsRoot);

BOOST_FIXTURE_TEST_CASE(signals_to_process_1_reach_the_service, Stage) {
  for (const int signal : {SIGTERM, SIGINT}) {
    auto container = begin({"signal=10:count", "facts", "cleanup:done", "wait"});
    const auto facts = scene.facts();
    BOOST_TEST(facts.at("mode") == "init");
    BOOST_TEST(facts.at("ppid") == "1");
    const pid_t first = process_1_of(container);
    sigval value{};
    value.sival_int = 42;
    BOOST_TEST(::sigqueue(first, SIGUSR1, value) == 0);
    BOOST_TEST(scene.next().rfind("signal 10 value 42", 0) == 0U);
    ::kill(first, signal);
    scene.expect("stop");
    scene.expect("cleanup done");
    BOOST_TEST(container.finish().end.exited(0));
  }
}

BOOST_FIXTURE_TEST_CASE(process_1_ends_with_the_exit_code_of_the_service, Stage) {
  BOOST_TEST(begin({"return:5"}).finish().end.exited(5));
  BOOST_TEST(begin({"exit:6"}).finish().end.exited(6));
  BOOST_TEST(begin({"raise:9"}).finish().end.exited(128 + 9));
  BOOST_TEST(begin({"cwd=/none"}).finish().end.exited(1));
}

BOOST_FIXTURE_TEST_CASE(orphans_are_reaped_and_the_services_own_children_are_not, Stage) {
  auto container = begin({"orphans:1000"});
  scene.expect("orphans reaped, own child 7");
  BOOST_TEST(container.finish().end.exited(0));
}

BOOST_FIXTURE_TEST_CASE(process_1_holds_no_end_of_the_services_pipes, Stage) {
  auto container = begin({"facts", "wait"});
  scene.facts();
  const pid_t first = process_1_of(container);
  BOOST_TEST(scene::eventually([&] { return scene::descriptors_of(first).empty(); }));
  ::kill(first, SIGTERM);
  scene.expect("stop");
  BOOST_TEST(container.finish().end.exited(0));
}

BOOST_FIXTURE_TEST_CASE(the_service_may_have_a_monitor_of_its_own, Stage) {
  auto container = begin({"respawn=first:1", "signal=10:count", "facts", "until:3,raise:9", "wait"});
  for (int n = 0; n < 3; ++n) BOOST_TEST(scene.facts().at("mode") == "init");
  const pid_t first = process_1_of(container);
  ::kill(first, SIGUSR1);
  BOOST_TEST(scene.next().rfind("signal 10", 0) == 0U);
  ::kill(first, SIGTERM);
  scene.expect("stop");
  const auto result = container.finish();
  BOOST_TEST(result.end.exited(0));
  BOOST_TEST(result.err.find("(number 2) was killed by SIGKILL after ") != std::string::npos);
  BOOST_TEST(begin({"respawn=first:1,most:1,window:60000", "return:5"}).finish().end.exited(5));
}

BOOST_FIXTURE_TEST_CASE(a_process_1_with_threads_is_refused, Stage) {
  const auto result = scene::Stage::begin({"thread", "run", "facts"}, as_process_1).finish();
  BOOST_TEST(result.end.exited(1));
  BOOST_TEST(result.err.find("cannot leave process 1: 2 threads run, and a fork keeps only one of them") !=
             std::string::npos);
}

// A container without CAP_KILL whose service becomes another user.
BOOST_FIXTURE_TEST_CASE(without_cap_kill_signals_still_reach_the_service, Stage) {
  auto container = begin({"user=nobody", "cleanup:done", "say:up", "wait"}, [] {
    as_process_1();
    must(::prctl(PR_CAPBSET_DROP, CAP_KILL) == 0);
  });
  scene.expect("up");
  ::kill(process_1_of(container), SIGTERM);
  scene.expect("stop");
  scene.expect("cleanup done");
  BOOST_TEST(container.finish().end.exited(0));
}
