// SPDX-License-Identifier: BSL-1.0

// Registers and runs clean-up callbacks, sixteen or a million at a time; the figure is for one of them. Each
// callback adds one to a number that it refers to. The sum shows that all have run.

#include <cxxabi.h>

#include <array>
#include <daemonctx/detail/cleanup_stack.hpp>
#include <functional>
#include <memory>
#include <vector>

#include "callback_list.h"
#include "process.hpp"
#include "rows.hpp"

namespace bench {
namespace {

constexpr unsigned callbacks = 16;
constexpr unsigned turns = 2000;

unsigned long count = 0;

void add_one(void* to) { ++*static_cast<unsigned long*>(to); }

// Nanoseconds for each callback.
template <class Turn>
double time_of(Turn&& turn, unsigned number = callbacks) {
  const unsigned repeats = number == callbacks ? turns : 1;
  count = 0;
  const double begin = now();
  for (unsigned i = 0; i < repeats; ++i) turn();
  const double end = now();
  if (count != static_cast<unsigned long>(repeats) * number) throw WrongBehaviour("callbacks were lost");
  return (end - begin) / (static_cast<double>(repeats) * number);
}

double intrusive_list() {
  Callback* last = nullptr;
  std::array<Callback, callbacks> entries;
  return time_of([&] {
    for (Callback& entry : entries) callback_push(&last, &entry, &add_one, &count);
    callback_run_all(&last);
  });
}

double cleanup_stack() {
  daemonctx::detail::CleanupStack stack;
  return time_of([&stack] {
    for (unsigned i = 0; i < callbacks; ++i) stack.push([to = &count] { ++*to; });
    while (stack.run_last([](void*, const std::exception_ptr&) {}, nullptr)) continue;
  });
}

// The vector keeps its memory from turn to turn, and the callables are small enough to need none.
double small_functions() {
  std::vector<std::function<void()>> functions;
  return time_of([&functions] {
    for (unsigned i = 0; i < callbacks; ++i) functions.emplace_back([to = &count] { ++*to; });
    for (; !functions.empty(); functions.pop_back()) functions.back()();
  });
}

// A fresh vector each time, and callables that refer to three things, as a real one may.
double large_functions() {
  return time_of([] {
    std::vector<std::function<void()>> functions;
    for (unsigned i = 0; i < callbacks; ++i) {
      functions.emplace_back(
          [to = &count, one = &callbacks, other = &turns] { *to += *one == *other ? 2 : 1; });
    }
    for (; !functions.empty(); functions.pop_back()) functions.back()();
  });
}

// __cxa_atexit is behind atexit(3). The handlers of atexit(3) itself can run only once.
double atexit_list() {
  static int owner = 0;
  return time_of([] {
    for (unsigned i = 0; i < callbacks; ++i) abi::__cxa_atexit(&add_one, &count, &owner);
    abi::__cxa_finalize(&owner);
  });
}

// ---- Many. Each list is fresh, and grows.

constexpr unsigned many = 1'000'000;

double many_in_an_intrusive_list() {
  return time_of(
      [] {
        Callback* last = nullptr;
        const std::unique_ptr<Callback[]> entries(new Callback[many]);
        for (unsigned i = 0; i < many; ++i) callback_push(&last, &entries[i], &add_one, &count);
        callback_run_all(&last);
      },
      many);
}

double many_in_a_cleanup_stack() {
  return time_of(
      [] {
        daemonctx::detail::CleanupStack stack;
        for (unsigned i = 0; i < many; ++i) stack.push([to = &count] { ++*to; });
        while (stack.run_last([](void*, const std::exception_ptr&) {}, nullptr)) continue;
      },
      many);
}

double many_functions() {
  return time_of(
      [] {
        std::vector<std::function<void()>> functions;
        for (unsigned i = 0; i < many; ++i) functions.emplace_back([to = &count] { ++*to; });
        for (; !functions.empty(); functions.pop_back()) functions.back()();
      },
      many);
}

// Registers as many as `number`, and runs all early, the oldest first.
double oldest_first(unsigned number) {
  daemonctx::detail::CleanupStack stack;
  std::vector<daemonctx::Cleanup> handles;
  return time_of(
      [&] {
        for (unsigned i = 0; i < number; ++i) handles.push_back(stack.push([to = &count] { ++*to; }));
        for (const daemonctx::Cleanup& handle : handles) handle.run_now();
        handles.clear();
      },
      number);
}

}  // namespace

void cleanup_rows(Table& table) {
  const auto series =
      measure_paired({{.name = "intrusive list", .measure = intrusive_list},
                      {.name = "daemonctx", .measure = cleanup_stack},
                      {.name = "vector of std::function", .measure = small_functions},
                      {.name = "the same, fresh and with larger callables", .measure = large_functions},
                      {.name = "atexit", .measure = atexit_list}},
                     300);
  table.add(compare("clean-up callback, one of sixteen", series, "daemonctx", 1.5));
  const auto of_many = measure_paired({{.name = "intrusive list", .measure = many_in_an_intrusive_list},
                                       {.name = "daemonctx", .measure = many_in_a_cleanup_stack},
                                       {.name = "vector of std::function", .measure = many_functions}},
                                      15);
  table.add(compare("clean-up callback, one of a million", of_many, "daemonctx", 8));
  const auto released =
      measure_paired({{.name = "of sixteen", .measure = [] { return oldest_first(callbacks); }},
                      {.name = "daemonctx", .measure = [] { return oldest_first(30'000); }}},
                     50);
  table.add(compare("a cleanup that runs early, oldest first, one of 30,000", released, "daemonctx", 2));
}

}  // namespace bench
