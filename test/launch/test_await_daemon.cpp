// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE await_daemon
#include "launch/await_daemon.hpp"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>

#include "launch/detach.hpp"
#include "posix/pidfd.hpp"
#include "posix/signals.hpp"
#include "scene.hpp"

using namespace daemonctx;
using namespace std::chrono_literals;

namespace {

// Starts a daemon that does `work`, and waits for it as a caller does.
template <class Work>
StartOutcome launch(Work work, Timeout timeout = forever, const std::vector<pid_t>& others = {},
                    bool may_leave = false) {
  const scene::Scene adopts_what_is_left;
  StatusPipe pipe = create_status_pipe();
  const posix::SignalBlock blocked;
  ParentScope parent;
  pid_t daemon = 0;
  const pid_t intermediate = start_by_fork(pipe.writer, daemon);
  if (intermediate == 0) {
    work(pipe.writer);
    ::_exit(0);
  }
  pipe.writer.close();
  StartInProgress launch(intermediate, daemon, others.empty(), std::move(pipe.reader));
  daemonctx::Ticker silent;
  StartOutcome outcome = launch.await(timeout, blocked.former(), silent);
  if (outcome.kind == StartOutcome::Kind::ready) launch.reap_intermediate();
  else launch.take_down(outcome);
  const bool finds_descendants = others.empty() || static_cast<bool>(posix::open_pidfd(::getpid()));
  if (outcome.kind != StartOutcome::Kind::ready && finds_descendants && !may_leave)
    BOOST_TEST(scene::children() == others);
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

// ---- A daemon that lies. The caller may be root, and the daemon anybody.

namespace {

// SIGHUP ends a wait for the daemon, and not this test.
class HandledHangup {
 public:
  HandledHangup() {
    struct sigaction noted {};
    noted.sa_handler = [](int) {};
    ::sigaction(SIGHUP, &noted, &former_);
  }
  ~HandledHangup() { ::sigaction(SIGHUP, &former_, nullptr); }
  HandledHangup(const HandledHangup&) = delete;
  HandledHangup& operator=(const HandledHangup&) = delete;

 private:
  struct sigaction former_ {};
};

// A failure record that announces a text, without the text.
void write_half_a_record(const StatusWriter& status) {
  const StatusRecord record{.kind = StatusRecord::Kind::failure, .text_size = 100};
  static_cast<void>(::write(status.fd(), &record, sizeof record));
}

[[noreturn]] void sleep_until_killed() {
  posix::reset_all_dispositions();
  sigset_t none;
  sigemptyset(&none);
  for (;;) ::sigsuspend(&none);
}

// Waits until there is room, as long as a caller reads.
[[noreturn]] void report_without_end(const StatusWriter& status) {
  for (;;) {
    const int error = status.send_failure(Step::run_service, EIO, "flood");
    if (error != 0 && error != EAGAIN) ::_exit(0);
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE(half_a_record_does_not_keep_the_caller_from_its_deadline) {
  const StartOutcome outcome = launch(
      [](StatusWriter& status) {
        write_half_a_record(status);
        sleep_until_killed();
      },
      20ms);
  BOOST_TEST((outcome.kind == StartOutcome::Kind::timed_out));
}

BOOST_AUTO_TEST_CASE(half_a_record_does_not_keep_the_caller_from_its_signals) {
  const HandledHangup handled;
  const pid_t caller = ::getpid();
  const StartOutcome outcome = launch([caller](StatusWriter& status) {
    write_half_a_record(status);
    ::kill(caller, SIGHUP);
    sleep_until_killed();
  });
  BOOST_TEST((outcome.kind == StartOutcome::Kind::interrupted));
  BOOST_TEST(outcome.signal == SIGHUP);
}

BOOST_AUTO_TEST_CASE(endless_reports_do_not_keep_the_caller_from_its_deadline) {
  const StartOutcome outcome = launch([](StatusWriter& status) { report_without_end(status); }, 20ms);
  // On a busy machine the deadline may come before the first report.
  BOOST_TEST((outcome.kind == StartOutcome::Kind::failed || outcome.kind == StartOutcome::Kind::timed_out));
}

BOOST_AUTO_TEST_CASE(endless_reports_of_a_child_do_not_keep_the_caller_from_the_daemons_end) {
  const StartOutcome outcome = launch([](StatusWriter& status) {
    if (::fork() == 0) report_without_end(status);
    ::_exit(3);
  });
  BOOST_TEST(outcome.status.value() == W_EXITCODE(3, 0));
}

BOOST_AUTO_TEST_CASE(a_step_that_does_not_exist_is_no_report) {
  const StartOutcome outcome = launch([](StatusWriter& status) {
    const StatusRecord record{.kind = StatusRecord::Kind::failure, .step = 1 << 30};
    static_cast<void>(::write(status.fd(), &record, sizeof record));
    ::_exit(4);
  });
  BOOST_TEST(text(outcome) == "the daemon exited with code 4 before it was ready");
}

// ---- A daemon that leaves the process group.

namespace {

// Ignores SIGTERM, as every child of it does.
[[noreturn]] void stay() {
  ::signal(SIGTERM, SIG_IGN);
  for (;;) ::pause();
}

// A child in a session of its own.
template <class Work>
void fork_away(Work work) {
  if (::fork() != 0) return;
  ::setsid();
  work();
  stay();
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_daemon_with_a_session_of_its_own_is_taken_down) {
  const pid_t other = ::fork();
  if (other == 0) {
    for (;;) ::pause();
  }
  const HandledHangup handled;
  const pid_t caller = ::getpid();
  for (const auto& others : {std::vector<pid_t>{other}, std::vector<pid_t>{}}) {
    const auto leave = [caller](StatusWriter&) {
      ::setsid();
      ::signal(SIGTERM, SIG_IGN);
      fork_away([caller] { fork_away([caller] { ::kill(caller, SIGHUP); }); });
      stay();
    };
    const StartOutcome outcome = launch(leave, forever, others);
    BOOST_TEST((outcome.kind == StartOutcome::Kind::interrupted));
    BOOST_TEST(WTERMSIG(outcome.status.value()) == SIGKILL);
    BOOST_TEST(outcome.left.empty());
  }
}

BOOST_AUTO_TEST_CASE(what_a_daemon_that_has_ended_leaves_behind_is_taken_down_too) {
  const StartOutcome outcome = launch([](StatusWriter&) {
    fork_away([] { fork_away([] {}); });
    ::_exit(3);
  });
  BOOST_TEST((outcome.kind == StartOutcome::Kind::ended));
  BOOST_TEST(outcome.status.value() == W_EXITCODE(3, 0));
}

// The caller has fewer descriptors than the daemon has processes: what it can't kill, it names.
BOOST_AUTO_TEST_CASE(processes_for_which_there_is_no_descriptor_are_ended_or_named) {
  const pid_t other = ::fork();
  if (other == 0) {
    for (;;) ::pause();
  }
  rlimit former{};
  ::getrlimit(RLIMIT_NOFILE, &former);
  const rlimit few{30, former.rlim_max};
  ::setrlimit(RLIMIT_NOFILE, &few);
  const HandledHangup handled;
  const pid_t caller = ::getpid();
  const auto leave = [caller](StatusWriter&) {
    ::setsid();
    ::signal(SIGTERM, SIG_IGN);
    for (int n = 0; n < 60; ++n) fork_away([] {});
    ::kill(caller, SIGHUP);
    stay();
  };
  const scene::Scene adopts_what_is_left;
  const StartOutcome outcome = launch(leave, forever, {other}, true);
  ::setrlimit(RLIMIT_NOFILE, &former);
  BOOST_TEST((outcome.kind == StartOutcome::Kind::interrupted));
  const auto living = scene::children();
  for (const pid_t each : living) {
    const bool is_named = std::find(outcome.left.begin(), outcome.left.end(), each) != outcome.left.end();
    BOOST_TEST((each == other || is_named));
  }
}
