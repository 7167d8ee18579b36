// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE detach
#include "launch/detach.hpp"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
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

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
namespace {

pid_t caller = 0;
int lock_error = -1;

// A fork handler, which runs in the intermediate. The caller is killed just then.
void take_a_lock_without_the_caller() {
  if (::getpid() == caller) return;
  ::kill(caller, SIGKILL);
  while (::getppid() == caller) ::sched_yield();
  pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
  lock_error = ::pthread_rwlock_rdlock(&lock);
}

}  // namespace

BOOST_AUTO_TEST_CASE(an_intermediate_whose_caller_was_killed_can_still_take_locks) {
  std::uint64_t address = 0;
  if (::prctl(PR_GET_TID_ADDRESS, &address) != 0) {
    BOOST_TEST_MESSAGE("skipped: the kernel has no PR_GET_TID_ADDRESS");
    return;
  }
  const scene::Scene adopts_the_daemon;
  StatusPipe pipe = create_status_pipe();
  const pid_t child = ::fork();
  if (child == 0) {
    caller = ::getpid();
    ::pthread_atfork(take_a_lock_without_the_caller, nullptr, nullptr);
    pid_t daemon = 0;
    if (start_by_vfork(pipe.writer, daemon) == 0) {
      // Since glibc 2.41 this takes a lock, which hangs if the fork has left it confused.
      ::signal(SIGABRT, SIG_DFL);
      pipe.writer.send_failure(Step::run_service, lock_error);
    }
    ::_exit(0);
  }
  pipe.writer.close();
  BOOST_TEST(scene::await_end(child).killed_by(SIGKILL));
  // Whoever is left becomes a child of this process: first the intermediate, then the daemon.
  for (auto left = scene::children(); !left.empty(); left = scene::children()) scene::await_end(left[0]);
  const auto report = pipe.reader.next();
  BOOST_TEST((report && report->error == 0));
}
#endif

BOOST_AUTO_TEST_CASE(fork_starts_a_daemon_in_the_session_of_the_intermediate) {
  for (int round = 0; round < 200; ++round) start_and_check(start_by_fork);
}
