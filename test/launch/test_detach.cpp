// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE detach
#include "launch/detach.hpp"

#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>

#include "scene.hpp"

using namespace daemonctx;

namespace {

using Mechanism = pid_t (*)(const StatusWriter&, pid_t&) noexcept;

int shared = 0;

// Starts a daemon that reports its session and ends. The daemon is a copy of this test, so it must end with
// _exit.
void start_and_check(Mechanism start) {
  const scene::Scene adopts_the_daemon;
  StatusPipe pipe = create_status_pipe();
  shared = 1;
  pid_t daemon = 0;
  const pid_t intermediate = start(pipe.writer, daemon);
  BOOST_REQUIRE(intermediate != -1);
  if (intermediate == 0) {
    shared = 2;  // the daemon works on a copy of the memory
    pipe.writer.send_failure(Step::run_service, static_cast<int>(::getsid(0)), std::to_string(::getpid()));
    ::_exit(0);
  }
  pipe.writer.close();
  BOOST_TEST(scene::await_end(daemon).exited(0));
  const auto report = pipe.reader.next();
  BOOST_REQUIRE(report);
  BOOST_TEST(std::to_string(daemon) == report->text);
  BOOST_TEST(report->error == intermediate);
  BOOST_TEST(shared == 1);
  BOOST_TEST(scene::await_end(intermediate).exited(0));
}

}  // namespace

BOOST_AUTO_TEST_CASE(the_daemon_knows_its_processor) {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  ::sched_getaffinity(0, sizeof allowed, &allowed);
  for (const Mechanism start :
       {static_cast<Mechanism>(start_intermediate), static_cast<Mechanism>(start_by_fork)}) {
    const scene::Scene adopts_the_daemon;
    StatusPipe pipe = create_status_pipe();
    pid_t daemon = 0;
    if (start(pipe.writer, daemon) == 0) {
      int wrong = 0;
      for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
        if (!CPU_ISSET(cpu, &allowed)) continue;
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        ::sched_setaffinity(0, sizeof one, &one);
        if (::sched_getcpu() != cpu) ++wrong;
      }
      pipe.writer.send_failure(Step::run_service, wrong);
      ::_exit(0);
    }
    pipe.writer.close();
    BOOST_TEST(scene::await_end(daemon).exited(0));
    const auto report = pipe.reader.next();
    BOOST_TEST((report && report->error == 0));
  }
}

// Many rounds: damage to the memory that vfork shares would show sooner or later.
BOOST_AUTO_TEST_CASE(vfork_starts_a_daemon_in_the_session_of_the_intermediate) {
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  for (int round = 0; round < 200; ++round) start_and_check(start_by_vfork);
#endif
}

BOOST_AUTO_TEST_CASE(fork_starts_a_daemon_in_the_session_of_the_intermediate) {
  for (int round = 0; round < 200; ++round) start_and_check(start_by_fork);
}
