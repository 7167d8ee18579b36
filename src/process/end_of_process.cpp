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
  std::atomic<std::chrono::nanoseconds::rep> patience = 0;
  std::atomic<std::terminate_handler> former_terminate_handler = nullptr;

  // State of one context.
  std::atomic<pthread_t> ending_thread = nobody;
  std::atomic<bool> ended = false;
  posix::FutexWord steps = 0;
  std::atomic<unsigned> waiting = 0;
  std::atomic<unsigned> life = 0;

  // State of the process.
  std::atomic<pthread_t> process_ender = nobody;  // the first thread in std::exit or std::terminate
  std::atomic<bool> has_reported_termination = false;
};

constinit End the_end;
thread_local bool has_waited_for_process = false;

// True if this thread is the first to end the process, or has been so before.
bool claim_process() noexcept {
  pthread_t expected = nobody;
  return the_end.process_ender.compare_exchange_strong(expected, ::pthread_self()) ||
         expected == ::pthread_self();
}

bool process_ends_elsewhere() noexcept {
  const pthread_t ender = the_end.process_ender;
  return ender != nobody && ender != ::pthread_self();
}

bool end_runs_here() noexcept { return the_end.ending_thread == ::pthread_self() && !the_end.ended; }

bool end_runs_elsewhere() noexcept {
  const pthread_t by = the_end.ending_thread;
  return by != nobody && by != ::pthread_self() && !the_end.ended;
}

// Returns false if no step has happened within the patience.
bool await_step(std::uint32_t seen) noexcept {
  const auto deadline = posix::deadline_in(end_patience());
  ++the_end.waiting;
  while (the_end.steps == seen && posix::Clock::now() < deadline) {
    posix::futex_wait(the_end.steps, seen, deadline);
  }
  --the_end.waiting;
  return the_end.steps != seen;
}

void give_up_if_it_still_runs() noexcept {
  const Visit visit(any_context);
  if (visit && !the_end.ended) the_end.hooks.load()->give_up(visit.state());
}

// The thread that runs the end must not wait for this thread, which waits for it.
void leave_end_to_others() noexcept {
  const Visit visit(any_context);
  if (visit) the_end.hooks.load()->thread_waits(visit.state());
}

void at_exit() noexcept;

// A second thread in std::exit waits: it would cut short the end that the first thread runs, and choose the
// exit code. After waiting in vain it goes on as it would without this library.
void wait_behind_ender() noexcept {
  has_waited_for_process = true;
  await_end();
}

bool context_has_ended() noexcept {
  const Visit visit(any_context);
  return !visit || the_end.ended;
}

void run_end(void* state, EndRole role) noexcept { the_end.hooks.load()->run(state, role == EndRole::first); }

// True if another thread runs the end of the context, and this thread has to wait for it.
bool run_end_unless_late() noexcept {
  const Visit visit(any_context);
  if (!visit || the_end.ended) return false;
  const EndRole role = begin_end();
  if (role != EndRole::late) run_end(visit.state(), role);
  return role == EndRole::late;
}

void continue_end() noexcept {
  const Visit visit(any_context);
  if (visit) run_end(visit.state(), EndRole::again);
}

// Registers itself anew as long as there is an end to wait for: another thread, or a cleanup in this one, may
// call std::exit next.
void at_exit() noexcept {
  if (!is_owner()) return;
  forget_visits_of_this_thread();
  const bool is_first = claim_process();
  if (is_first ? context_has_ended() : has_waited_for_process) return;
  static_cast<void>(std::atexit(at_exit));
  if (end_runs_here()) continue_end();
  if (!is_first) wait_behind_ender();
  else if (run_end_unless_late()) await_end();
}

// Handles an uncaught exception. Only the thread that made the context runs the end. If another thread is
// ending the context or the process already, this thread waits for it.
void end_by_terminate(bool is_first) noexcept {
  const bool is_late = end_runs_elsewhere() || !is_first;
  {
    const Visit visit(any_context);
    if (visit && the_end.hooks.load()->report_termination(visit.state()) && !is_late) {
      const EndRole role = begin_end();
      if (role != EndRole::late) the_end.hooks.load()->run(visit.state(), role == EndRole::first);
    }
  }
  if (is_late) await_end();
}

// Waits for another thread that has an uncaught exception too, reports it, and aborts.
void await_abort() noexcept {
  while (is_owner() && await_step(the_end.steps)) continue;
}

// True for the handler that libstdc++ installs: it would print the exception once more.
bool says_what_it_was(std::terminate_handler handler) noexcept {
#ifdef __GLIBCXX__
  return handler == &__gnu_cxx::__verbose_terminate_handler;
#else
  return false;
#endif
}

// Aborts if it is called again: the program's own handler may call its predecessor, which may be this one.
[[noreturn]] void at_terminate() noexcept {
  thread_local bool is_inside = false;
  if (std::exchange(is_inside, true)) std::abort();
  const std::terminate_handler former = the_end.former_terminate_handler;
  const bool reports = is_owner() && !the_end.has_reported_termination.exchange(true);
  forget_visits_of_this_thread();
  if (reports) end_by_terminate(claim_process());
  else await_abort();
  if (former != nullptr && !(reports && says_what_it_was(former))) former();
  std::abort();
}

}  // namespace

void register_end_handlers(const EndHooks& hooks, Timeout patience) {
  the_end.hooks = &hooks;
  the_end.patience = patience.length().count();
  // Register anew for each context: its cleanups may use objects made before it, but after an earlier one.
  // Register several handlers: the C library takes a handler off its list before the call, and a second
  // thread in std::exit must find another.
  constexpr int threads_at_once = 4;
  for (int count = 0; count < threads_at_once; ++count) {
    if (std::atexit(at_exit) != 0) throw std::bad_alloc();
  }
  const std::terminate_handler former = std::set_terminate(at_terminate);
  if (former != &at_terminate) the_end.former_terminate_handler = former;
}

void restore_terminate_handler() noexcept {
  if (std::get_terminate() == &at_terminate) std::set_terminate(the_end.former_terminate_handler);
}

Timeout end_patience() noexcept { return std::chrono::nanoseconds(the_end.patience); }

unsigned life() noexcept { return the_end.life; }

void begin_life() noexcept {
  ++the_end.life;
  the_end.ending_thread = nobody;
  the_end.ended = false;
}

EndRole begin_end() noexcept {
  pthread_t by = nobody;
  if (the_end.ending_thread == nobody && process_ends_elsewhere()) return EndRole::late;
  if (the_end.ending_thread.compare_exchange_strong(by, ::pthread_self())) return EndRole::first;
  return by == ::pthread_self() ? EndRole::again : EndRole::late;
}

void note_end_progress() noexcept {
  ++the_end.steps;
  if (the_end.waiting != 0) posix::futex_wake(the_end.steps);
}

void finish_end() noexcept {
  the_end.ended = true;
  note_end_progress();
}

bool has_ended() noexcept { return the_end.ended; }

void forget_end() noexcept {
  the_end.process_ender = nobody;
  the_end.has_reported_termination = false;
}

void await_end() noexcept {
  if (!is_owner()) return;  // a forked child lacks the thread that ends the parent
  leave_end_to_others();
  const unsigned life = the_end.life;
  for (;;) {
    const std::uint32_t seen = the_end.steps;
    const bool is_over = !end_runs_elsewhere() || the_end.life != life;
    if (is_over && !process_ends_elsewhere()) return;
    if (await_step(seen)) continue;
    if (is_over) return;
    give_up_if_it_still_runs();
  }
}

void await_end_while(bool (*condition)(const void*) noexcept, const void* object) noexcept {
  for (;;) {
    const std::uint32_t seen = the_end.steps;
    if (!is_owner() || !condition(object)) return;
    if (!await_step(seen)) give_up_if_it_still_runs();
  }
}

}  // namespace daemonctx::process
