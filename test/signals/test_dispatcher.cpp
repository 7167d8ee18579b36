// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE dispatcher
#include "signals/dispatcher.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <future>
#include <stdexcept>

#include "features.hpp"
#include "process/owner.hpp"
#include "signals/inbox.hpp"

using namespace daemonctx;
using namespace std::chrono_literals;

namespace {

using Clock = std::chrono::steady_clock;

struct Fixture {
  std::atomic<int> reloads = 0;
  std::atomic<int> reopens = 0;
  std::atomic<int> reports = 0;
  std::atomic<int> calls = 0;
  std::atomic<int> last_value = 0;
  SignalDispatcher dispatcher{
      SignalMap{{SIGUSR1,
                 [this](const SignalInfo& info) {
                   last_value = info.value;
                   ++calls;
                 }},
                {SIGUSR2, [](const SignalInfo&) { throw std::runtime_error("bad"); }},
                {SIGTERM, Action::terminate},
                {SIGHUP, Action::reload},
                {SIGWINCH, Action::reopen_output}},
      SignalDispatcher::Hooks{.reload = [this] { ++reloads; },
                              .reopen_output = [this] { ++reopens; },
                              .report = [this](const std::exception_ptr&, std::string_view) { ++reports; }}};

  Fixture() {
    process::become_owner();
    BOOST_REQUIRE(dispatcher.install(false) == 0);
  }
};

void queue_value(int value) {
  sigval given{};
  given.sival_int = value;
  while (::sigqueue(::getpid(), SIGUSR1, given) == -1) std::this_thread::yield();
}

// SIGALRM comes again during each of its actions, up to a hundred times.
struct Flooded : Fixture {
  int floods = 0;
  int stops_after = 0;

  Flooded() {
    dispatcher.map(SIGALRM, [this](const SignalInfo&) {
      if (++floods == stops_after) ::raise(SIGTERM);
      if (floods < 100) ::raise(SIGALRM);
    });
    ::raise(SIGALRM);
  }
};

bool is_readable(int fd) {
  pollfd poll{fd, POLLIN, 0};
  return ::poll(&poll, 1, 0) == 1;
}

}  // namespace

// A thread in dispatch() may take the wake-up that was meant for a thread in wait().
BOOST_AUTO_TEST_CASE(a_stop_reaches_a_waiting_thread_beside_one_that_dispatches) {
  for (int round = 0; round < 200; ++round) {
    Fixture fixture;
    std::atomic<bool> over = false;
    std::thread dispatching([&] {
      while (!over) fixture.dispatcher.dispatch();
    });
    auto waiting = std::async(std::launch::async,
                              [&] { return fixture.dispatcher.wait_until(Clock::time_point::max()); });
    std::this_thread::yield();
    fixture.dispatcher.request_stop();
    const bool is_woken = waiting.wait_for(20s) == std::future_status::ready;
    over = true;
    dispatching.join();
    if (!is_woken) fixture.dispatcher.request_stop();
    BOOST_REQUIRE(is_woken);
  }
}

BOOST_FIXTURE_TEST_CASE(actions_run_in_dispatch_and_not_before, Fixture) {
  BOOST_TEST(!is_readable(dispatcher.fd()));
  for (const int signal : {SIGUSR1, SIGUSR2, SIGHUP, SIGWINCH}) ::raise(signal);
  BOOST_TEST(is_readable(dispatcher.fd()));
  BOOST_TEST(calls + reloads + reopens + reports == 0);
  dispatcher.dispatch();
  BOOST_TEST(calls == 1);
  BOOST_TEST(reloads == 1);
  BOOST_TEST(reopens == 1);
  BOOST_TEST(reports == 1);
  BOOST_TEST(!is_readable(dispatcher.fd()));
}

BOOST_FIXTURE_TEST_CASE(a_stop_shows_in_the_handler_and_its_token_after_dispatch, Fixture) {
  BOOST_TEST(!dispatcher.stop_requested());
  ::raise(SIGTERM);
  BOOST_TEST(dispatcher.stop_requested());
  BOOST_TEST(!dispatcher.stop_token().stop_requested());
  dispatcher.dispatch();
  BOOST_TEST(dispatcher.stop_token().stop_requested());
}

BOOST_FIXTURE_TEST_CASE(waiting_ends_with_the_deadline_the_stop_or_a_request_from_another_thread, Fixture) {
  BOOST_TEST(!dispatcher.wait_until(Clock::now()));
  BOOST_TEST(!dispatcher.wait_until(Clock::now() + 5ms));
  auto waiter =
      std::async(std::launch::async, [&] { return dispatcher.wait_until(Clock::time_point::max()); });
  auto another =
      std::async(std::launch::async, [&] { return dispatcher.wait_until(Clock::time_point::max()); });
  BOOST_TEST((waiter.wait_for(5ms) == std::future_status::timeout));
  dispatcher.request_stop();
  BOOST_TEST(waiter.get());
  BOOST_TEST(another.get());
  BOOST_TEST(dispatcher.wait_until(Clock::time_point::max()));
}

BOOST_FIXTURE_TEST_CASE(a_signal_stops_every_thread_that_waits, Fixture) {
  for (int round = 0; round < 3; ++round) {
    std::vector<std::future<bool>> waiters;
    for (int n = 0; n < 4; ++n) {
      waiters.push_back(
          std::async(std::launch::async, [&] { return dispatcher.wait_until(Clock::time_point::max()); }));
    }
    ::kill(::getpid(), SIGTERM);
    for (auto& waiter : waiters) BOOST_TEST(waiter.get());
  }
}

BOOST_FIXTURE_TEST_CASE(the_last_of_a_burst_is_handled_while_waiting, Fixture) {
  auto sender = std::async(std::launch::async, [] {
    sigset_t all;  // so that the waiting thread gets the signal
    sigfillset(&all);
    ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
    for (int n = 1; n <= 10000; ++n) queue_value(n);
  });
  while (sender.wait_for(0ms) != std::future_status::ready) dispatcher.wait_until(Clock::now() + 1ms);
  const int before = calls;
  queue_value(10001);
  dispatcher.wait_until(Clock::now());
  BOOST_TEST(calls == before + 1);
  BOOST_TEST(last_value == 10001);
}

BOOST_FIXTURE_TEST_CASE(a_thread_of_its_own_runs_the_actions, Fixture) {
  dispatcher.start_thread();
  for (int n = 1; n <= 1000; ++n) {
    const int before = calls;
    queue_value(n);
    while (calls == before) std::this_thread::yield();
    BOOST_REQUIRE(last_value == n);
  }
  BOOST_TEST(!dispatcher.wait_until(Clock::now() + 1ms));
  ::kill(::getpid(), SIGTERM);
  BOOST_TEST(dispatcher.wait_until(Clock::time_point::max()));
  BOOST_TEST(dispatcher.stop_thread(30s));
  BOOST_TEST(dispatcher.stop_token().stop_requested());
}

BOOST_FIXTURE_TEST_CASE(signals_from_many_threads_reach_a_thread_of_its_own, Fixture) {
  dispatcher.start_thread();
  std::vector<std::thread> senders;
  for (int n = 0; n < 4; ++n) {
    senders.emplace_back([] {
      for (int i = 0; i < 1000; ++i) ::kill(::getpid(), i % 2 == 0 ? SIGUSR1 : SIGHUP);
    });
  }
  for (auto& sender : senders) sender.join();
  BOOST_TEST(dispatcher.stop_thread(30s));
  dispatcher.dispatch();
  BOOST_TEST(calls > 0);
  BOOST_TEST(reloads > 0);
}

BOOST_AUTO_TEST_CASE(dispositions_and_mask_are_restored) {
  struct sigaction mine {};
  mine.sa_handler = [](int) {};
  ::sigaction(SIGUSR1, &mine, nullptr);
  ::signal(SIGHUP, SIG_IGN);
  sigset_t blocked;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGTERM);
  ::pthread_sigmask(SIG_SETMASK, &blocked, nullptr);
  {
    Fixture fixture;
    sigset_t mask;
    ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
    BOOST_TEST(!sigismember(&mask, SIGTERM));
  }
  struct sigaction now {};
  ::sigaction(SIGUSR1, nullptr, &now);
  BOOST_TEST((now.sa_handler == mine.sa_handler));
  ::sigaction(SIGHUP, nullptr, &now);
  BOOST_TEST((now.sa_handler == SIG_IGN));
  sigset_t mask;
  ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
  BOOST_TEST(sigismember(&mask, SIGTERM));
  sigemptyset(&blocked);
  ::pthread_sigmask(SIG_SETMASK, &blocked, nullptr);
}

BOOST_FIXTURE_TEST_CASE(a_callback_of_the_token_may_wait_for_a_thread_that_waits_for_the_stop, Fixture) {
  std::thread waiter([&] { dispatcher.wait_until(Clock::time_point::max()); });
  const std::stop_callback joins(dispatcher.stop_token(), [&] { waiter.join(); });
  dispatcher.request_stop();
  BOOST_TEST(!waiter.joinable());
}

BOOST_FIXTURE_TEST_CASE(an_action_may_replace_itself, Fixture) {
  std::string order;
  const std::string filler(100, 'x');  // what the running action holds must stay valid
  dispatcher.map(SIGALRM, [&, filler](const SignalInfo&) {
    dispatcher.map(SIGALRM, [&](const SignalInfo&) { order += "second"; });
    order += filler.substr(0, 1);
  });
  for (int n = 0; n < 2; ++n) {
    ::raise(SIGALRM);
    dispatcher.dispatch();
  }
  BOOST_TEST(order == "xsecond");
}

BOOST_FIXTURE_TEST_CASE(a_map_entry_can_be_added_later, Fixture) {
  int seen = 0;
  dispatcher.map(SIGALRM, [&](const SignalInfo& info) { seen = info.number; });
  ::raise(SIGALRM);
  dispatcher.dispatch();
  BOOST_TEST(seen == SIGALRM);
}

BOOST_FIXTURE_TEST_CASE(a_replaced_action_may_map_signals_while_it_is_destroyed, Fixture) {
  int seen = 0;
  const auto maps = [&](int*) { dispatcher.map(SIGALRM, [&](const SignalInfo&) { ++seen; }); };
  dispatcher.map(SIGALRM, [held = std::shared_ptr<int>(nullptr, maps)](const SignalInfo&) {});
  dispatcher.map(SIGALRM, [](const SignalInfo&) {});
  ::raise(SIGALRM);
  dispatcher.dispatch();
  BOOST_TEST(seen == 1);
}

BOOST_FIXTURE_TEST_CASE(a_thread_that_ends_in_its_action_leaves_the_other_signals_to_the_next, Fixture) {
  dispatcher.map(SIGALRM, [](const SignalInfo&) { ::pthread_exit(nullptr); });
  ::raise(SIGALRM);
  ::raise(SIGWINCH);  // a later number
  std::thread([&] { dispatcher.dispatch(); }).join();
  BOOST_TEST(reopens == 0);
  BOOST_TEST(is_readable(dispatcher.fd()));
  dispatcher.dispatch();
  BOOST_TEST(reopens == 1);
}

BOOST_FIXTURE_TEST_CASE(a_stop_that_the_waiting_thread_is_told_of_wakes_others_at_once, Fixture) {
  signal_inbox.waiter = ::pthread_self();
  ::raise(SIGUSR1);
  BOOST_TEST(!is_readable(dispatcher.fd()));
  ::raise(SIGTERM);
  BOOST_TEST(is_readable(dispatcher.fd()));
  signal_inbox.waiter = pthread_t{};
}

// ---- Children that no fork handler has seen.

namespace {

// True if the signal `by` has killed the child.
bool was_killed(pid_t child, int by = SIGTERM) {
  int status = 0;
  BOOST_TEST(::waitpid(child, &status, 0) == child);
  return WIFSIGNALED(status) && WTERMSIG(status) == by;
}

struct WithUnaffectedParent : Fixture {
  ~WithUnaffectedParent() {
    BOOST_TEST(!dispatcher.stop_requested());
    BOOST_TEST(!is_readable(dispatcher.fd()));
    ::raise(SIGUSR1);  // handlers and inbox are unchanged
    dispatcher.dispatch();
    BOOST_TEST(calls == 1);
  }
};

}  // namespace

BOOST_FIXTURE_TEST_CASE(a_child_made_by_clone_dies_of_its_signal, WithUnaffectedParent) {
  const auto child = static_cast<pid_t>(::syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, nullptr));
  if (child == 0) {
    ::kill(::getpid(), SIGTERM);
    ::_exit(0);
  }
  BOOST_TEST(was_killed(child));
}

#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 34)
BOOST_FIXTURE_TEST_CASE(a_child_made_without_fork_handlers_dies_of_its_signal, WithUnaffectedParent) {
  const pid_t child = ::_Fork();
  if (child == 0) {
    ::kill(::getpid(), SIGTERM);
    ::_exit(0);
  }
  BOOST_TEST(was_killed(child));
}
#endif

// The handler runs in the child, on memory that the child shares with the parent.
BOOST_FIXTURE_TEST_CASE(a_child_made_by_vfork_dies_of_its_signal, WithUnaffectedParent) {
  const pid_t child = ::vfork();
  if (child == 0) {
    ::kill(::getpid(), SIGTERM);
    ::_exit(0);
  }
  BOOST_TEST(was_killed(child));
}

#if DAEMONCTX_USE_VFORK  // the thread sanitizer forks instead, and keeps signals from the child
BOOST_FIXTURE_TEST_CASE(a_child_made_by_vfork_dies_of_a_signal_that_reaches_it_later, WithUnaffectedParent) {
  int ends[2] = {};
  BOOST_REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  std::thread killer([&] {
    pid_t waiting = 0;
    if (::read(ends[0], &waiting, sizeof waiting) == sizeof waiting) ::kill(waiting, SIGTERM);
  });
  const pid_t child = ::vfork();
  if (child == 0) {
    const pid_t self = ::getpid();
    if (::write(ends[1], &self, sizeof self) == -1) ::_exit(1);
    for (int n = 0; n < 1000; ++n) ::poll(nullptr, 0, 10);
    ::_exit(0);
  }
  killer.join();
  BOOST_TEST(was_killed(child));
  for (const int end : ends) ::close(end);
}
#endif

// After the end of a daemon's context a signal does nothing to the daemon, and ends a child.
void expect_only_a_child_ends(int number, Action action, const std::function<void()>& before_the_end = {}) {
  struct sigaction former {};
  ::sigaction(number, nullptr, &former);
  {
    process::become_owner();
    SignalDispatcher dispatcher(SignalMap{{number, action}}, {});
    BOOST_REQUIRE(dispatcher.install(true) == 0);
    if (before_the_end) before_the_end();
  }
  ::raise(number);
  const pid_t child = ::fork();
  if (child == 0) {
    ::kill(::getpid(), number);
    ::_exit(0);
  }
  BOOST_TEST(was_killed(child, number));
  ::sigaction(number, &former, nullptr);
}

BOOST_AUTO_TEST_CASE(after_the_end_a_stopped_daemon_ignores_another_stop_and_its_children_do_not) {
  expect_only_a_child_ends(SIGTERM, Action::terminate, [] { ::raise(SIGTERM); });
}

// Destructors after the context may write to a closed socket.
BOOST_AUTO_TEST_CASE(after_the_end_a_daemon_still_ignores_a_broken_pipe_and_its_children_do_not) {
  expect_only_a_child_ends(SIGPIPE, Action::ignore);
}

// ---- A flood of signals, or actions slower than their signal.

BOOST_FIXTURE_TEST_CASE(a_signal_that_keeps_coming_does_not_prolong_a_wait, Flooded) {
  BOOST_TEST(!dispatcher.wait_until(Clock::now()));
  BOOST_TEST(floods == 1);
}

BOOST_FIXTURE_TEST_CASE(a_stop_gets_through_a_signal_that_keeps_coming, Flooded) {
  stops_after = 5;
  BOOST_TEST(dispatcher.wait_until(Clock::time_point::max()));
  BOOST_TEST(floods == stops_after + 1);  // the last one came before the stop
  BOOST_TEST(dispatcher.stop_token().stop_requested());
}

BOOST_FIXTURE_TEST_CASE(dispatch_returns_and_leaves_the_descriptor_readable_for_the_rest, Flooded) {
  for (int n = 1; n < 4; ++n) {
    BOOST_TEST(is_readable(dispatcher.fd()));
    dispatcher.dispatch();
    BOOST_TEST(floods == n);
  }
}

BOOST_FIXTURE_TEST_CASE(a_stop_wakes_a_waiting_thread_while_an_action_runs_on_a_thread_of_its_own, Fixture) {
  std::promise<void> runs;
  std::promise<void> may_end;
  dispatcher.map(SIGALRM, [&](const SignalInfo&) {
    runs.set_value();
    may_end.get_future().wait();
  });
  dispatcher.start_thread();
  ::kill(::getpid(), SIGALRM);
  runs.get_future().wait();
  auto waiter =
      std::async(std::launch::async, [&] { return dispatcher.wait_until(Clock::time_point::max()); });
  BOOST_TEST((waiter.wait_for(10ms) == std::future_status::timeout));
  ::kill(::getpid(), SIGTERM);
  BOOST_TEST((waiter.wait_for(10s) == std::future_status::ready));
  may_end.set_value();
  BOOST_TEST(waiter.get());
}

// ---- Actions that fork.

BOOST_FIXTURE_TEST_CASE(a_child_that_comes_back_from_an_action_runs_no_other_and_stops_waiting, Fixture) {
  pid_t child = -1;
  dispatcher.map(SIGALRM, [&](const SignalInfo&) {
    child = ::fork();
    if (child == 0) throw std::runtime_error("in the child");
  });
  ::raise(SIGALRM);
  ::raise(SIGWINCH);  // a later number
  const bool stops = dispatcher.wait_until(Clock::now());
  if (child == 0) ::_exit(stops && reopens == 0 && reports == 0 ? 7 : 1);
  int status = 0;
  BOOST_TEST(::waitpid(child, &status, 0) == child);
  BOOST_TEST(WEXITSTATUS(status) == 7);
  BOOST_TEST(!stops);
  BOOST_TEST(reopens == 1);
}

BOOST_FIXTURE_TEST_CASE(a_child_that_comes_back_from_an_action_ends_on_a_thread_of_its_own, Fixture) {
  std::promise<pid_t> forked;
  dispatcher.map(SIGALRM, [&](const SignalInfo&) {
    const pid_t made = ::fork();
    if (made != 0) forked.set_value(made);
  });
  dispatcher.start_thread();
  ::kill(::getpid(), SIGALRM);
  const pid_t child = forked.get_future().get();
  siginfo_t end{};
  for (const auto deadline = Clock::now() + 10s; end.si_pid == 0 && Clock::now() < deadline;) {
    ::waitid(P_PID, static_cast<id_t>(child), &end, WEXITED | WNOHANG);
    std::this_thread::sleep_for(1ms);
  }
  BOOST_TEST(end.si_pid == child);
  if (end.si_pid != 0) return;
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
}

// ---- Held signals.

namespace {

struct Holding {
  std::uint64_t dropped = 0;
  SignalDispatcher dispatcher{
      SignalMap{{SIGTERM, Action::terminate}},
      SignalDispatcher::Hooks{.reload = [] {},
                              .reopen_output = [] {},
                              .report = [](const auto&, auto) {},
                              .released = [this](std::uint64_t bits) { dropped = bits; }}};

  Holding() {
    process::become_owner();
    BOOST_REQUIRE(dispatcher.install(false) == 0);
  }
  void release() {
    dispatcher.note(SignalDispatcher::service_waits);
    dispatcher.note(SignalDispatcher::service_is_ready);
  }
};

void reset_dispositions() {
  for (const int signal : {SIGHUP, SIGUSR1, SIGUSR2}) ::signal(signal, SIG_DFL);
}

void mine(int) {}

bool is_mine(int signal) {
  struct sigaction now {};
  ::sigaction(signal, nullptr, &now);
  return now.sa_handler == mine;
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_held_signal_stays_pending_until_it_is_mapped) {
  reset_dispositions();
  Holding fixture;
  int calls = 0;
  ::raise(SIGUSR1);
  fixture.dispatcher.dispatch();
  BOOST_TEST(!is_readable(fixture.dispatcher.fd()));
  fixture.dispatcher.map(SIGUSR1, [&](const SignalInfo&) { ++calls; });
  BOOST_TEST(is_readable(fixture.dispatcher.fd()));
  fixture.dispatcher.dispatch();
  fixture.release();
  BOOST_TEST(calls == 1);
  BOOST_TEST(fixture.dropped == 0);
}

BOOST_AUTO_TEST_CASE(a_held_signal_without_an_action_is_dropped) {
  reset_dispositions();
  Holding fixture;
  ::raise(SIGUSR1);
  ::raise(SIGHUP);
  fixture.dispatcher.note(SignalDispatcher::service_waits);
  BOOST_TEST(fixture.dropped == 0);
  fixture.dispatcher.note(SignalDispatcher::service_is_ready);
  BOOST_TEST(fixture.dropped == (signal_bit(SIGUSR1) | signal_bit(SIGHUP)));
  fixture.dispatcher.dispatch();
  struct sigaction now {};
  ::sigaction(SIGUSR1, nullptr, &now);
  BOOST_TEST((now.sa_handler == SIG_DFL));
}

BOOST_AUTO_TEST_CASE(handlers_of_the_programs_own_are_left_alone) {
  reset_dispositions();
  ::signal(SIGUSR1, mine);
  {
    Holding fixture;
    BOOST_TEST(is_mine(SIGUSR1));
    ::signal(SIGUSR2, mine);  // replaces the handler that holds
    fixture.release();
    BOOST_TEST(is_mine(SIGUSR2));
  }
  BOOST_TEST(is_mine(SIGUSR1));
  BOOST_TEST(is_mine(SIGUSR2));
  reset_dispositions();
}

BOOST_AUTO_TEST_CASE(a_signal_that_the_program_has_blocked_stays_blocked) {
  reset_dispositions();
  sigset_t one;
  sigset_t mask;
  sigemptyset(&one);
  sigaddset(&one, SIGUSR1);
  ::pthread_sigmask(SIG_BLOCK, &one, nullptr);
  {
    Holding fixture;
    ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
    BOOST_TEST(sigismember(&mask, SIGUSR1) == 1);
  }
  ::pthread_sigmask(SIG_UNBLOCK, &one, nullptr);
}
