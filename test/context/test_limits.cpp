// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE limits

#include <sys/resource.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>

#include "stage.hpp"

using scene::contents;
using scene::pid_in;
using scene::Stage;
using scene::status_field;

namespace {

const scene::Words wanted = {"limit=7:200:300", "nice=3", "oom=500", "cpu=0"};  // 7 is RLIMIT_NOFILE

std::string of(pid_t process, const std::string& file) {
  return contents("/proc/" + std::to_string(process) + '/' + file);
}

void check_is_limited(pid_t process) {
  BOOST_TEST(of(process, "limits").find("Max open files            200                  300") !=
             std::string::npos);
  BOOST_TEST(::getpriority(PRIO_PROCESS, static_cast<id_t>(process)) == 3);
  BOOST_TEST(of(process, "oom_score_adj") == "500\n");
  BOOST_TEST(status_field(process, "Cpus_allowed_list") == "0");
}

scene::Words with_limits(scene::Words words) {
  words.insert(words.end(), wanted.begin(), wanted.end());
  return words;
}

}  // namespace

BOOST_FIXTURE_TEST_CASE(a_service_has_its_limits_in_every_mode, Stage) {
  for (const std::string detach : {"always", "never"}) {
    auto words = with_limits({"daemon", "detach=" + detach, "pidfile=" + pidfile});
    words.insert(words.end(), {"say:up", "wait"});
    auto service = begin(words);
    scene.expect("up");
    const pid_t pid = pid_in(pidfile);
    check_is_limited(pid);
    ::kill(pid, SIGTERM);
    scene.expect("stop");
    BOOST_TEST(service.finish().end.exited(0));
    if (detach == "always") BOOST_TEST(scene::await_end(pid).exited(0));  // the next start needs the lock
  }
}

BOOST_FIXTURE_TEST_CASE(a_worker_is_limited_and_its_monitor_is_not, Stage) {
  auto words = with_limits({"pidfile=" + pidfile, "respawn=first:1"});
  words.insert(words.end(), {"tell_worker", "wait"});
  BOOST_TEST(run(words).end.exited(0));
  const std::string told = scene.next();  // "worker 1 pid N ..."
  check_is_limited(static_cast<pid_t>(std::stoi(told.substr(told.find("pid ") + 4))));
  BOOST_TEST(of(pid_in(pidfile), "oom_score_adj") != "500\n");
  stop(pid_in(pidfile));
}

BOOST_FIXTURE_TEST_CASE(a_limit_that_cannot_be_set_is_named, Stage) {
  if (::geteuid() != 0) return;
  const auto become_nobody = [] {
    if (::setresgid(scene::nobody, scene::nobody, scene::nobody) != 0 ||
        ::setresuid(scene::nobody, scene::nobody, scene::nobody) != 0)
      ::_exit(96);
  };
  for (const std::string detach : {"always", "never"}) {
    rejects({"detach=" + detach, "nice=-5"}, "cannot set the limits: nice: Permission denied", become_nobody);
    rejects({"detach=" + detach, "cpu=1023"}, "cannot set the limits: cpus: Invalid argument", become_nobody);
  }
}

BOOST_FIXTURE_TEST_CASE(a_failed_start_in_the_foreground_puts_the_limits_back, Stage) {
  const auto result = run(with_limits({"detach=never", "cwd=/none", "report_failure"}));
  BOOST_TEST(result.end.exited(1));
  BOOST_TEST(scene.facts().at("open_files") != "200:300");
}
