// SPDX-License-Identifier: BSL-1.0
#define BOOST_TEST_MODULE cleanup_stack
#include "daemonctx/detail/cleanup_stack.hpp"

#include <array>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <future>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using daemonctx::Cleanup;
using daemonctx::detail::CleanupStack;

static_assert(!std::is_copy_constructible_v<CleanupStack> && !std::is_move_constructible_v<CleanupStack>);
static_assert(std::is_trivially_copyable_v<Cleanup>);

namespace {

std::atomic<int> allocations = 0;

bool run_last(CleanupStack& stack) {
  return stack.run_last([](void*, const std::exception_ptr&) {}, nullptr);
}

void run_all(CleanupStack& stack) {
  while (run_last(stack)) continue;
}

// A callable that pushes a cleanup while the stack moves the callable in, and another one while the stack
// destroys it.
class Reentrant {
 public:
  Reentrant(CleanupStack& stack, std::atomic<int>& runs) : stack_(stack), runs_(runs) {}
  Reentrant(Reentrant&& other) noexcept : stack_(other.stack_), runs_(other.runs_) { push_another(); }
  Reentrant(const Reentrant&) = delete;
  Reentrant& operator=(const Reentrant&) = delete;
  ~Reentrant() { push_another(); }

  void operator()() const { ++runs_; }

 private:
  void push_another() const {
    stack_.push([&runs = runs_] { ++runs; });
  }

  CleanupStack& stack_;
  std::atomic<int>& runs_;
};

// Runs `work` on a second thread. In a process with one thread the stack locks nothing, so no deadlock shows.
bool ends_in_time(std::function<void()> work) {
  std::packaged_task<void()> task(std::move(work));
  const auto end = task.get_future();
  std::thread(std::move(task)).detach();
  return end.wait_for(std::chrono::seconds(10)) == std::future_status::ready;
}

}  // namespace

// Not inlined: g++ would see that memory from malloc goes to delete, and warn.
[[gnu::noinline]] void* operator new(std::size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

BOOST_AUTO_TEST_CASE(cleanups_run_once_each_last_first) {
  CleanupStack stack;
  std::string order;
  for (const char name : {'a', 'b', 'c'}) stack.push([&order, name] { order += name; });
  run_all(stack);
  run_all(stack);
  BOOST_TEST(order == "cba");
}

BOOST_AUTO_TEST_CASE(more_cleanups_than_fit_in_place_keep_their_order) {
  CleanupStack stack;
  std::vector<int> order;
  for (int n = 0; n < 100; ++n) stack.push([&order, n] { order.push_back(n); });
  run_all(stack);
  BOOST_REQUIRE(order.size() == 100U);
  for (int n = 0; n < 100; ++n) BOOST_TEST(order.at(static_cast<std::size_t>(n)) == 99 - n);
}

BOOST_AUTO_TEST_CASE(only_large_callables_cost_an_allocation_each) {
  CleanupStack stack;
  int sum = 0;
  const auto allocations_of = [&](int times, auto callable) {
    const int before = allocations;
    for (int n = 0; n < times; ++n) stack.push(callable);
    return allocations - before;
  };
  BOOST_TEST(allocations_of(16, [&sum] { ++sum; }) == 0);
  const std::array<char, 1000> large{};
  BOOST_TEST(allocations_of(1, [&sum, large] { sum += large[0] + 1; }) == 2);  // all places were taken
  BOOST_TEST(allocations_of(1, [&sum, large] { sum += large[0] + 1; }) == 1);
  BOOST_TEST(allocations_of(982, [&sum] { ++sum; }) == 15);
  run_all(stack);
  BOOST_TEST(sum == 1000);
  BOOST_TEST(allocations_of(1000, [&sum] { ++sum; }) == 0);  // the places are free again
}

BOOST_AUTO_TEST_CASE(cleanups_are_released_in_any_order) {
  CleanupStack stack;
  std::vector<Cleanup> handles;
  std::vector<int> ran;
  for (int n = 0; n < 200; ++n) handles.push_back(stack.push([&ran, n] { ran.push_back(n); }));
  std::vector<int> expected;
  for (std::size_t n = 0; n < 200; ++n) {
    const std::size_t at = n * 77 % 200;  // each once, in a mixed order
    if (at % 3 == 0) BOOST_TEST(handles[at].release());
  }
  for (int n = 199; n >= 0; --n) {
    if (n % 3 != 0) expected.push_back(n);
  }
  run_all(stack);
  BOOST_TEST(ran == expected, boost::test_tools::per_element());
  for (const Cleanup& handle : handles) BOOST_TEST(!handle.release());
}

BOOST_AUTO_TEST_CASE(a_move_only_callable_is_taken_and_destroyed) {
  const auto watched = std::make_shared<int>(0);
  {
    CleanupStack stack;
    stack.push([owned = std::make_unique<std::shared_ptr<int>>(watched)] { ++**owned; });
    BOOST_TEST(watched.use_count() == 2);
    run_all(stack);
    BOOST_TEST(*watched == 1);
    BOOST_TEST(watched.use_count() == 1);
    stack.push([copy = watched] { ++*copy; });
    stack.push([copy = watched, filler = std::array<char, 100>{}] { *copy += filler[0]; });
    BOOST_TEST(watched.use_count() == 3);
  }
  BOOST_TEST(watched.use_count() == 1);  // the destructor of the stack destroyed both, and ran neither
  BOOST_TEST(*watched == 1);
}

BOOST_AUTO_TEST_CASE(an_exception_is_reported_and_the_rest_still_runs) {
  CleanupStack stack;
  std::string order;
  stack.push([&] { order += 'a'; });
  stack.push([&] {
    order += 'b';
    throw std::runtime_error("trouble");
  });
  stack.push([&] { order += 'c'; });
  int reports = 0;
  const auto count = [](void* reported, const std::exception_ptr& error) {
    ++*static_cast<int*>(reported);
    BOOST_CHECK_THROW(std::rethrow_exception(error), std::runtime_error);
  };
  while (stack.run_last(count, &reports)) continue;
  BOOST_TEST(order == "cba");
  BOOST_TEST(reports == 1);
}

BOOST_AUTO_TEST_CASE(a_released_cleanup_does_not_run) {
  CleanupStack stack;
  std::string order;
  const Cleanup a = stack.push([&] { order += 'a'; });
  const Cleanup b = stack.push([&] { order += 'b'; });
  BOOST_TEST(a.release());
  BOOST_TEST(!a.release());
  BOOST_TEST(!a.run_now());
  run_all(stack);
  BOOST_TEST(order == "b");
  BOOST_TEST(!b.release());
}

BOOST_AUTO_TEST_CASE(run_now_runs_a_cleanup_once_and_passes_its_exception_on) {
  CleanupStack stack;
  std::string order;
  const Cleanup good = stack.push([&] { order += 'a'; });
  const Cleanup bad = stack.push([] { throw std::runtime_error("trouble"); });
  BOOST_TEST(good.run_now());
  BOOST_TEST(!good.run_now());
  BOOST_CHECK_THROW(bad.run_now(), std::runtime_error);
  BOOST_TEST(!bad.run_now());
  run_all(stack);
  BOOST_TEST(order == "a");
}

BOOST_AUTO_TEST_CASE(an_old_handle_does_not_reach_a_new_cleanup_in_the_same_place) {
  CleanupStack stack;
  const Cleanup old = stack.push([] {});
  run_all(stack);
  bool ran = false;
  stack.push([&] { ran = true; });
  BOOST_TEST(!old.release());
  run_all(stack);
  BOOST_TEST(ran);
}

BOOST_AUTO_TEST_CASE(a_cleanup_may_register_release_and_run_others) {
  CleanupStack stack;
  std::string order;
  const Cleanup a = stack.push([&] { order += 'a'; });
  const Cleanup b = stack.push([&] { order += 'b'; });
  stack.push([&] {
    order += 'c';
    stack.push([&] { order += 'd'; });
    b.release();
    a.run_now();
  });
  run_all(stack);
  BOOST_TEST(order == "cad");
}

BOOST_AUTO_TEST_CASE(a_callable_may_use_the_stack_while_it_is_moved_in_and_destroyed) {
  const auto stack = std::make_shared<CleanupStack>();  // shared: a thread that hangs keeps using it
  const auto runs = std::make_shared<std::atomic<int>>(0);
  const bool ends = ends_in_time([stack, runs] {
    // Two more pushes: when the stack moves the callable in, and when the moved-from callable is destroyed.
    stack->push(Reentrant(*stack, *runs));
    run_last(*stack);
    run_last(*stack);  // a third one: the callable in the stack is destroyed
    run_last(*stack);
    run_last(*stack);
  });
  BOOST_REQUIRE(ends);
  BOOST_TEST(*runs == 4);
  BOOST_TEST(!run_last(*stack));
}

BOOST_AUTO_TEST_CASE(a_callable_that_can_not_be_copied_in_leaves_nothing_behind) {
  struct Bad {
    Bad() = default;
    Bad(const Bad&) { throw std::runtime_error("no copy"); }
    void operator()() const {}
  };
  CleanupStack stack;
  const Bad bad;
  for (int n = 0; n < 20; ++n) BOOST_CHECK_THROW(stack.push(bad), std::runtime_error);
  bool any = run_last(stack);
  BOOST_TEST(!any);
}

BOOST_AUTO_TEST_CASE(threads_register_release_and_run_at_once_and_each_runs_once) {
  constexpr int per_thread = 2000;
  CleanupStack stack;
  std::atomic<int> runs = 0;
  std::atomic<int> released = 0;
  const auto work = [&](int seed) {
    for (int n = 0; n < per_thread; ++n) {
      const Cleanup cleanup = stack.push([&] { ++runs; });
      if ((n + seed) % 3 == 0) released += cleanup.release() ? 1 : 0;
      if ((n + seed) % 3 == 1) cleanup.run_now();
      if (n % 100 == 0) run_all(stack);
    }
  };
  std::vector<std::thread> threads;
  for (int n = 0; n < 4; ++n) threads.emplace_back(work, n);
  for (auto& thread : threads) thread.join();
  run_all(stack);
  BOOST_TEST(runs + released == 4 * per_thread);
}
