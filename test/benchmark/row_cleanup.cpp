// SPDX-License-Identifier: BSL-1.0

// Registers and runs clean-up callbacks, sixteen at a time; the figure is for one of them. Each callback adds
// one to a number that it refers to. The sum shows that all have run.

#include <cxxabi.h>

#include <array>
#include <daemonctx/detail/cleanup_stack.hpp>
#include <functional>

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
double time_of(Turn&& turn) {
  count = 0;
  const double begin = now();
  for (unsigned i = 0; i < turns; ++i) turn();
  const double end = now();
  if (count != static_cast<unsigned long>(turns) * callbacks) throw WrongBehaviour("callbacks were lost");
  return (end - begin) / (turns * callbacks);
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
}

}  // namespace bench
