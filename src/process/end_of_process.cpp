// SPDX-License-Identifier: BSL-1.0
#include "process/end_of_process.hpp"

#include <pthread.h>

#include <atomic>
#include <cstdlib>
#include <exception>
#include <new>
#include <utility>

#include "posix/futex.hpp"
#include "process/gate.hpp"
#include "process/owner.hpp"

namespace daemonctx::process {
namespace {

constexpr pthread_t nobody{};

struct End {
  std::atomic<const EndHooks*> hooks = nullptr;
  std::atomic<std::chrono::milliseconds::rep> patience = 0;
  std::atomic<std::terminate_handler> former_terminate_handler = nullptr;

  // Of one context.
  std::atomic<pthread_t> ending_thread = nobody;
  std::atomic<bool> ended = false;
  posix::FutexWord steps = 0;
  std::atomic<unsigned> life = 0;

  // Of the process.
  std::atomic<pthread_t> exiting_thread = nobody;
  std::atomic<pthread_t> terminating_thread = nobody;
  std::atomic<bool> has_reported_termination = false;
};

constinit End the_end;
thread_local bool has_waited_for_process = false;

// Whether this thread is the first to do so, or has been all the time.
bool claim(std::atomic<pthread_t>& by) noexcept {
  pthread_t expected = nobody;
  return by.compare_exchange_strong(expected, ::pthread_self()) || expected == ::pthread_self();
}

bool process_ends_elsewhere() noexcept {
  for (const auto* by : {&the_end.exiting_thread, &the_end.terminating_thread}) {
    const pthread_t thread = *by;
    if (thread != nobody && thread != ::pthread_self()) return true;
  }
  return false;
}

// False: nothing has happened for too long.
bool await_step(std::uint32_t seen) noexcept {
  const auto deadline = posix::deadline_in(end_patience());
  while (the_end.steps == seen && posix::Clock::now() < deadline) {
    posix::futex_wait(the_end.steps, seen, deadline);
  }
  return the_end.steps != seen;
}

void give_up_if_it_still_runs() noexcept {
  const Visit visit(any_context);
  if (visit && !the_end.ended) the_end.hooks.load()->give_up(visit.state());
}

void at_exit() noexcept;

// A second thread that calls std::exit would cut short what the first one has not finished, and choose the status. Once
// it has waited in vain it does what it would have done without us.
void wait_behind_exiting_thread() noexcept {
  if (std::exchange(has_waited_for_process, true)) return;
  static_cast<void>(std::atexit(at_exit));  // for whoever calls std::exit next
  await_end();
}

// Also for a cleanup that calls std::exit in turn, hence registered anew until the end is over.
void at_exit() noexcept {
  if (!is_owner()) return;
  forget_visits_of_this_thread();
  if (!claim(the_end.exiting_thread)) return wait_behind_exiting_thread();
  {
    const Visit visit(any_context);
    if (!visit || the_end.ended) return;
    static_cast<void>(std::atexit(at_exit));
    const EndHooks& hooks = *the_end.hooks;
    const EndRole role = begin_end();
    if (role != EndRole::late) return hooks.run(visit.state(), role == EndRole::first);
    hooks.thread_exits(visit.state());
  }
  await_end();
}

// An exception that nobody catches. False where there is no context, or another thread came first.
bool report_termination() noexcept {
  const Visit visit(any_context);
  if (!visit || !claim(the_end.terminating_thread)) return false;
  const EndHooks& hooks = *the_end.hooks;
  if (!hooks.report_termination(visit.state())) return true;
  const EndRole role = begin_end();
  if (role != EndRole::late) hooks.run(visit.state(), role == EndRole::first);
  return true;
}

// The handler that libstdc++ installs would print the exception once more.
bool says_what_it_was(std::terminate_handler handler) noexcept {
#ifdef __GLIBCXX__
  return handler == &__gnu_cxx::__verbose_terminate_handler;
#else
  return false;
#endif
}

[[noreturn]] void at_terminate() noexcept {
  const std::terminate_handler former = the_end.former_terminate_handler;
  bool has_reported = false;
  if (is_owner()) {
    forget_visits_of_this_thread();
    has_reported = !the_end.has_reported_termination.exchange(true) && report_termination();
    await_end();
  }
  if (former != nullptr && !(has_reported && says_what_it_was(former))) former();
  std::abort();
}

}  // namespace

void register_end_handlers(const EndHooks& hooks, std::chrono::milliseconds patience) {
  the_end.hooks = &hooks;
  the_end.patience = patience.count();
  // Each time anew: cleanups may use what was made before their context, but not before an earlier one.
  if (std::atexit(at_exit) != 0) throw std::bad_alloc();
  const std::terminate_handler former = std::set_terminate(at_terminate);
  if (former != &at_terminate) the_end.former_terminate_handler = former;
}

void restore_terminate_handler() noexcept {
  if (std::get_terminate() == &at_terminate) std::set_terminate(the_end.former_terminate_handler);
}

std::chrono::milliseconds end_patience() noexcept { return std::chrono::milliseconds(the_end.patience); }

void begin_life() noexcept {
  ++the_end.life;
  the_end.ending_thread = nobody;
  the_end.ended = false;
}

EndRole begin_end() noexcept {
  pthread_t by = nobody;
  if (the_end.ending_thread.compare_exchange_strong(by, ::pthread_self())) return EndRole::first;
  return by == ::pthread_self() ? EndRole::again : EndRole::late;
}

void note_end_progress() noexcept {
  ++the_end.steps;
  posix::futex_wake(the_end.steps);
}

void finish_end() noexcept {
  the_end.ended = true;
  note_end_progress();
}

bool has_ended() noexcept { return the_end.ended; }

void forget_end() noexcept {
  the_end.exiting_thread = nobody;
  the_end.terminating_thread = nobody;
  the_end.has_reported_termination = false;
}

void await_end() noexcept {
  if (!is_owner()) return;  // the thread that ends the parent is not here
  const unsigned life = the_end.life;
  const pthread_t by = the_end.ending_thread;
  const bool another_runs_it = by != nobody && by != ::pthread_self();
  for (;;) {
    const std::uint32_t seen = the_end.steps;
    const bool is_over = !another_runs_it || the_end.ended || the_end.life != life;
    if (is_over && !process_ends_elsewhere()) return;
    if (await_step(seen)) continue;
    if (is_over) return;
    give_up_if_it_still_runs();
  }
}

}  // namespace daemonctx::process
