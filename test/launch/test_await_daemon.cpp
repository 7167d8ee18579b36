// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE await_daemon
#include "launch/await_daemon.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>

#include "launch/detach.hpp"
#include "posix/signals.hpp"
#include "scene.hpp"

using namespace daemonctx;
using namespace std::chrono_literals;

namespace {

// Starts a daemon that does `work`, and waits for it as a caller does.
template <class Work>
StartOutcome launch(Work work, Timeout timeout = forever) {
  const scene::Scene adopts_what_is_left;
  StatusPipe pipe = create_status_pipe();
  const posix::SignalBlock blocked;
  ParentScope parent;
  const pid_t intermediate = start_by_fork(pipe.writer);
  if (intermediate == 0) {
    work(pipe.writer);
    ::_exit(0);
  }
  pipe.writer.close();
  StartInProgress launch(intermediate, std::move(pipe.reader));
  daemonctx::Ticker silent;
  StartOutcome outcome = launch.await(timeout, blocked.former(), silent);
  if (outcome.kind == StartOutcome::Kind::ready) launch.reap_intermediate();
  else launch.take_down(outcome);
  if (outcome.kind != StartOutcome::Kind::ready) BOOST_TEST(scene::children().empty());
  return outcome;
}

std::string text(const StartOutcome& outcome) { return to_error(outcome, "/subject", 7ms).what(); }

}  // namespace

BOOST_AUTO_TEST_CASE(readiness_ends_the_wait) {
  const StartOutcome outcome = launch([](StatusWriter& status) { status.send_ready(); });
  BOOST_TEST((outcome.kind == StartOutcome::Kind::ready));
  BOOST_TEST(outcome.daemon != 0);
}

BOOST_AUTO_TEST_CASE(the_first_failure_is_the_cause) {
  const StartOutcome outcome = launch([](StatusWriter& status) {
    status.send_failure(Step::change_directory, ENOENT);
    status.send_failure(Step::run_service, ECANCELED, "consequence");
  });
  BOOST_TEST((outcome.kind == StartOutcome::Kind::failed));
  BOOST_TEST(text(outcome) ==
             "cannot change the working directory to \"/subject\": No such file or directory");
  BOOST_TEST(outcome.status.value() == 0);
}

BOOST_AUTO_TEST_CASE(an_end_without_a_report_is_a_failure_too) {
  BOOST_TEST(text(launch([](StatusWriter&) { ::_exit(3); })) ==
             "the daemon exited with code 3 before it was ready");
  BOOST_TEST(text(launch([](StatusWriter&) { ::raise(SIGKILL); })) ==
             "the daemon was killed by SIGKILL before it was ready");
}

BOOST_AUTO_TEST_CASE(a_daemon_that_closes_its_status_pipe_and_lives_on_is_killed) {
  const StartOutcome outcome = launch([](StatusWriter& status) {
    status.close();
    for (;;) ::pause();
  });
  BOOST_TEST((outcome.kind == StartOutcome::Kind::ended));
  BOOST_TEST(WTERMSIG(outcome.status.value()) == SIGKILL);
}

BOOST_AUTO_TEST_CASE(a_daemon_that_is_not_ready_in_time_is_ended) {
  const StartOutcome outcome = launch(
      [](StatusWriter&) {
        posix::reset_all_dispositions();
        sigset_t none;
        sigemptyset(&none);
        for (;;) ::sigsuspend(&none);
      },
      20ms);
  BOOST_TEST((outcome.kind == StartOutcome::Kind::timed_out));
  BOOST_TEST(WTERMSIG(outcome.status.value()) == SIGTERM);
  BOOST_TEST(text(outcome) == "the daemon was not ready within 7 ms");
}
