// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE crash_handler
#include "supervise/crash_handler.hpp"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <functional>
#include <random>
#include <thread>

#include "scene.hpp"
#include "supervise/crash_lines.hpp"
#include "supervise/thread_note.hpp"

using namespace daemonctx;

namespace {

constexpr std::uint64_t secret = 0x5ec7e75ec7e75ec7;

struct Fixture {
  process::CrashNote* note = share_crash_note();
  process::ThreadNotes* threads = share_thread_notes();

  pid_t fork_worker(const std::function<void()>& work) const {
    const pid_t worker = ::fork();
    if (worker != 0) return worker;
    note_crashes(note, threads);
    work();
    ::_exit(97);
  }
  std::vector<CrashedThread> crash(const std::function<void()>& work, int signal) const {
    threads->clear();
    BOOST_TEST(scene::await_end(fork_worker(work)).killed_by(signal));
    return read_notes(*threads, {});
  }
};

[[noreturn]] void allocate_for_ever() {
  for (std::size_t size = 1;; size = size * 7 % 5003 + 1) std::free(std::malloc(size));
}

}  // namespace

BOOST_FIXTURE_TEST_CASE(a_crash_inside_malloc_is_no_deadlock, Fixture) {
  std::mt19937 chance(1);
  const int rounds = scene::rounds(200);
  for (int round = 0; round < rounds; ++round) {
    threads->clear();
    const pid_t worker = fork_worker([] {
      std::thread(allocate_for_ever).detach();
      allocate_for_ever();
    });
    std::this_thread::sleep_for(std::chrono::microseconds(chance() % 2000));
    ::kill(worker, SIGSEGV);
    const auto end = scene::await_end(worker);
    BOOST_REQUIRE(end.killed_by(SIGSEGV));
  }
}

BOOST_FIXTURE_TEST_CASE(words_that_could_be_secrets_are_not_noted, Fixture) {
  const auto notes = crash(
      [] {
        volatile std::uint64_t words[64];
        for (auto& word : words) word = secret;
        ::raise(SIGSEGV);
      },
      SIGSEGV);
  BOOST_REQUIRE(notes.size() == 1U);
  BOOST_TEST(notes[0].stack.size() > 64U);
  BOOST_TEST(std::count(notes[0].stack.begin(), notes[0].stack.end(), secret) == 0);
  BOOST_TEST(std::count(notes[0].stack.begin(), notes[0].stack.end(), 0) > 64);
}

BOOST_FIXTURE_TEST_CASE(of_threads_that_crash_at_once_one_writes_and_the_others_wait, Fixture) {
  for (int round = 0; round < scene::rounds(20); ++round) {
    const auto notes = crash(
        [] {
          std::atomic<int> begun = 0;
          std::vector<std::thread> all;
          for (int n = 0; n < 4; ++n) {
            all.emplace_back([&] {
              for (++begun; begun != 4;) continue;
              ::pthread_kill(::pthread_self(), SIGBUS);
            });
          }
          for (std::thread& each : all) each.join();
        },
        SIGBUS);
    BOOST_TEST(notes.size() == 1U);
  }
}

BOOST_FIXTURE_TEST_CASE(a_child_of_the_worker_writes_no_stack, Fixture) {
  threads->clear();
  const pid_t worker = fork_worker([] {
    const pid_t child = ::fork();
    if (child == 0) ::raise(SIGSEGV);
    int status = 0;
    ::waitpid(child, &status, 0);
    ::_exit(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV ? 0 : 1);
  });
  BOOST_TEST(scene::await_end(worker).exited(0));
  BOOST_TEST(read_notes(*threads, {}).empty());
}

BOOST_FIXTURE_TEST_CASE(what_a_hostile_worker_writes_breaks_nothing, Fixture) {
  threads->clear();
  for (process::ThreadNote& each : threads->notes) {
    each.register_count = SIZE_MAX;
    each.stack_words = SIZE_MAX;
    each.is_complete = true;
  }
  threads->taken = UINT32_MAX;
  const auto notes = read_notes(*threads, {});
  BOOST_TEST(notes.size() == threads->notes.size());
  for (const CrashedThread& each : notes) {
    BOOST_TEST(each.registers.size() <= 33U);
    BOOST_TEST(each.stack.size() <= process::ThreadNote::max_words);
  }
}

// ---- The lines.

namespace {

struct Resolver : CrashResolver {
  std::function<std::vector<std::string>()> lines;
  explicit Resolver(std::function<std::vector<std::string>()> function) : lines(std::move(function)) {}
  void open() override {}
  std::vector<std::string> resolve(const std::vector<CrashedThread>&) override { return lines(); }
};

std::vector<std::string> lines_of(Resolver& resolver) {
  CrashLines lines;
  lines.begin(&resolver, 7, {CrashedThread{.tid = 7}});
  return lines.finish(std::chrono::hours(1));
}

}  // namespace

BOOST_AUTO_TEST_CASE(lines_come_from_a_child_without_privileges) {
  Resolver resolver([] { return std::vector{std::to_string(::getuid()), std::string("two\nlines")}; });
  const uid_t expected = ::geteuid() == 0 ? 65534 : ::getuid();
  const auto lines = lines_of(resolver);
  BOOST_REQUIRE(lines.size() == 2U);
  BOOST_TEST(lines[0] == "worker 7: " + std::to_string(expected));
  BOOST_TEST(lines[1] == "worker 7: two lines");
}

BOOST_AUTO_TEST_CASE(a_resolver_that_fails_or_crashes_says_so) {
  Resolver fails([]() -> std::vector<std::string> { throw std::runtime_error("no symbols"); });
  BOOST_TEST(lines_of(fails) == std::vector<std::string>{"worker 7: its stack is not known: no symbols"});
  Resolver dies([]() -> std::vector<std::string> { ::_exit(1); });
  BOOST_TEST(lines_of(dies) == std::vector<std::string>{"worker 7: the stack got lost"});
}

BOOST_AUTO_TEST_CASE(a_resolver_that_says_too_much_is_cut_off) {
  Resolver talks([] { return std::vector(10000, std::string(100, 'x')); });
  const auto lines = lines_of(talks);
  BOOST_TEST(lines.size() > 1000U);
  BOOST_TEST(lines.size() < 5000U);
}

BOOST_AUTO_TEST_CASE(a_resolver_is_given_up_when_the_monitor_can_not_wait) {
  Resolver hangs([]() -> std::vector<std::string> {
    for (;;) ::pause();
  });
  CrashLines lines;
  lines.begin(&hangs, 7, {CrashedThread{.tid = 7}});
  BOOST_TEST(lines.finish(std::chrono::milliseconds(0)) ==
             std::vector<std::string>{"worker 7: the stack took too long"});
  BOOST_TEST(!lines.is_running());
}

BOOST_AUTO_TEST_CASE(a_resolver_that_never_ends_is_killed) {
  Resolver hangs([]() -> std::vector<std::string> {
    for (;;) ::pause();
  });
  BOOST_TEST(lines_of(hangs) == std::vector<std::string>{"worker 7: the stack took too long"});
}
