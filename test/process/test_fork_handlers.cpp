// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE fork_handlers
#include "process/fork_handlers.hpp"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <mutex>
#include <thread>

#include "process/owner.hpp"

namespace process = daemonctx::process;

// Names of the Itanium C++ ABI, which no header declares.
extern "C" void __cxa_finalize(void* library);
extern "C" void* __dso_handle;

namespace {

struct Handlers {
  Handlers() { process::register_fork_handlers(); }
};

struct Part {
  std::mutex mutex;
  bool is_inert = false;

  process::ForkHook hook() {
    return {.prepare = [](void* part) noexcept { static_cast<Part*>(part)->mutex.lock(); },
            .in_parent = [](void* part) noexcept { static_cast<Part*>(part)->mutex.unlock(); },
            .in_child =
                [](void* part) noexcept {
                  static_cast<Part*>(part)->mutex.unlock();
                  static_cast<Part*>(part)->is_inert = true;
                },
            .object = this};
  }
};

bool is_blocked(int signal) {
  sigset_t mask;
  ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
  return sigismember(&mask, signal) == 1;
}

int status_of(pid_t child) {
  int status = 0;
  BOOST_REQUIRE(::waitpid(child, &status, 0) == child);
  return status;
}

}  // namespace

BOOST_TEST_GLOBAL_FIXTURE(Handlers);

// At the end of the process glibc's __cxa_finalize unregisters the fork handlers of each library. If another
// thread is in fork() then, that fork() aborts the process.
BOOST_AUTO_TEST_CASE(the_handlers_stay_when_their_library_is_finalized) {
  const pid_t child = ::fork();
  if (child == 0) {
    int prepared = 0;
    const process::ForkHookScope scope(process::ForkRank::signals,
                                       {.prepare = [](void* count) noexcept { ++*static_cast<int*>(count); },
                                        .in_parent = [](void*) noexcept {},
                                        .in_child = [](void*) noexcept {},
                                        .object = &prepared});
    ::__cxa_finalize(__dso_handle);
    const pid_t grandchild = ::fork();
    if (grandchild == 0) ::_exit(0);
    ::waitpid(grandchild, nullptr, 0);
    ::_exit(prepared == 1 ? 0 : 1);
  }
  BOOST_TEST(status_of(child) == 0);
}

BOOST_AUTO_TEST_CASE(a_child_finds_no_lock_taken_by_a_thread_that_it_lacks) {
  Part part;
  const process::ForkHookScope scope(process::ForkRank::signals, part.hook());
  std::atomic<bool> over = false;
  std::thread busy([&] {
    while (!over) const std::lock_guard lock(part.mutex);
  });
  for (int round = 0; round < 200; ++round) {
    const pid_t child = ::fork();
    if (child == 0) {
      ::alarm(30);  // instead of a hang
      const std::lock_guard lock(part.mutex);
      ::_exit(part.is_inert ? 0 : 1);
    }
    BOOST_REQUIRE(status_of(child) == 0);
  }
  over = true;
  busy.join();
  BOOST_TEST(!part.is_inert);
}

BOOST_AUTO_TEST_CASE(parent_and_child_get_their_mask_back_although_a_hook_ends_meanwhile) {
  std::atomic<bool> over = false;
  std::thread registering([&] {
    while (!over) {
      Part part;
      const process::ForkHookScope scope(process::ForkRank::signals, part.hook());
    }
  });
  for (int round = 0; round < 200; ++round) {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(is_blocked(SIGTERM) ? 1 : 0);
    BOOST_REQUIRE(!is_blocked(SIGTERM));
    BOOST_REQUIRE(status_of(child) == 0);
  }
  over = true;
  registering.join();
}

BOOST_AUTO_TEST_CASE(a_blocked_signal_stays_blocked) {
  sigset_t mine;
  sigemptyset(&mine);
  sigaddset(&mine, SIGUSR1);
  ::pthread_sigmask(SIG_BLOCK, &mine, nullptr);
  const pid_t child = ::fork();
  if (child == 0) ::_exit(is_blocked(SIGUSR1) && !is_blocked(SIGUSR2) ? 0 : 1);
  BOOST_TEST(status_of(child) == 0);
  BOOST_TEST(is_blocked(SIGUSR1));
  ::pthread_sigmask(SIG_UNBLOCK, &mine, nullptr);
}

BOOST_AUTO_TEST_CASE(the_librarys_own_child_is_the_owner_and_its_parts_work) {
  process::become_owner();
  Part part;
  const process::ForkHookScope scope(process::ForkRank::signals, part.hook());
  pid_t child = -1;
  {
    const process::OwnFork own;
    child = ::fork();
  }
  if (child == 0) ::_exit(process::is_owner() && !part.is_inert && part.mutex.try_lock() ? 0 : 1);
  BOOST_TEST(status_of(child) == 0);
}
