// SPDX-License-Identifier: BSL-1.0
#include "process/gate.hpp"

#include <stdexcept>

#include "posix/futex.hpp"
#include "posix/threads.hpp"
#include "process/crash_note.hpp"
#include "process/end_of_process.hpp"
#include "process/fork_handlers.hpp"
#include "process/interruption_note.hpp"
#include "process/owner.hpp"
#include "process/pidfile_claim.hpp"
#include "process/return_note.hpp"

namespace daemonctx::process {

constinit PidfileClaim pidfile_claim;
constinit InterruptionNote interruption_note;
constinit ReturnNote return_note;
constinit CrashState crash_state;

namespace {

struct Gate {
  std::atomic<bool> claimed = false;
  std::atomic<const void*> context = nullptr;
  std::atomic<void*> state = nullptr;
  std::atomic<void*> unfreed = nullptr;  // a state that a thread never left; reachable, so no leak
  posix::FutexWord visits = 0;
  std::atomic<bool> awaits_visitors = false;
  std::atomic<unsigned> generation = 0;  // of processes: a forked child begins the next one

  std::atomic<const void*> last_context = nullptr;
  std::atomic<int> mode = 0;
  std::atomic<pid_t> pid = 0;
  std::atomic<unsigned> worker_number = 0;
};

constinit Gate gate;
thread_local unsigned visits_of_this_thread = 0;

// A process with one thread needs no atomic addition, which would cost more than most calls.
std::uint32_t add_visits(std::uint32_t count) noexcept {
  if (!posix::is_single_threaded()) return gate.visits.fetch_add(count) + count;
  const std::uint32_t sum = gate.visits.load(std::memory_order_relaxed) + count;
  gate.visits.store(sum, std::memory_order_relaxed);
  return sum;
}

void leave(unsigned count) noexcept {
  add_visits(-count);
  if (gate.awaits_visitors) posix::futex_wake(gate.visits);
}

}  // namespace

// A claim found in a child that no fork handler saw is the parent's.
ContextClaim::ContextClaim() {
  register_fork_handlers();
  if (gate.claimed && !is_owner()) leave_context_to_parent();
  if (gate.claimed.exchange(true)) throw std::logic_error("a DaemonContext is already open in this process");
  begin_life();
  become_owner();
}

ContextClaim::~ContextClaim() {
  if (!kept_) gate.claimed = false;
}

void open_context(const void* context, void* state, const ContextFacts& facts) noexcept {
  gate.mode = facts.mode;
  gate.pid = facts.pid;
  gate.worker_number = facts.worker_number;
  gate.last_context = context;
  gate.state = state;
  gate.context = context;
}

bool close_context(Timeout limit, bool is_in_use) noexcept {
  gate.context = nullptr;
  gate.awaits_visitors = true;
  const auto deadline = posix::deadline_in(limit);
  std::uint32_t inside = 0;
  while ((inside = gate.visits) > visits_of_this_thread && posix::Clock::now() < deadline) {
    posix::futex_wait(gate.visits, inside, deadline);
  }
  gate.awaits_visitors = false;
  void* const state = gate.state.exchange(nullptr);
  // A visit of this thread is an action or a cleanup that ends its own context, and goes on in it.
  const bool is_left = inside == 0 && !is_in_use;
  if (!is_left) gate.unfreed = state;
  gate.claimed = false;
  return is_left;
}

bool is_open(const void* context) noexcept { return is_owner() && gate.context == context; }

ContextFacts facts_of(const void* context) noexcept {
  if (gate.last_context != context) return {};
  return {gate.mode, gate.pid, gate.worker_number};
}

// Keeps the state reachable: it belongs to the parent, and the child neither uses nor destroys it.
void leave_context_to_parent() noexcept {
  forget_end();
  ++gate.generation;
  gate.context = nullptr;
  gate.visits = 0;
  gate.awaits_visitors = false;
  visits_of_this_thread = 0;
  if (void* const state = gate.state.exchange(nullptr)) gate.unfreed = state;
  gate.claimed = false;
}

Visit::Visit(const void* context) noexcept : generation_(gate.generation) {
  if (is_owner()) enter(context);
}

Visit::Visit(AnyContext) noexcept : generation_(gate.generation) {
  if (is_owner()) enter(gate.context);
}

Visit::Visit(const void* context, unsigned life) noexcept : Visit(context) {
  if (state_ == nullptr || life == process::life()) return;
  leave_again();
  state_ = nullptr;
}

void Visit::enter(const void* context) noexcept {
  add_visits(1);  // before the check: `close_context` closes the gate first and then waits for visitors
  if (context == nullptr || gate.context != context) return leave(1);
  ++visits_of_this_thread;
  state_ = gate.state;
}

// A child that was forked inside, and a thread that ends the process, have forgotten the visit already.
Visit::~Visit() { leave_again(); }

void Visit::leave_again() noexcept {
  if (state_ == nullptr || generation_ != gate.generation || visits_of_this_thread == 0) return;
  --visits_of_this_thread;
  leave(1);
}

void forget_visits_of_this_thread() noexcept {
  if (visits_of_this_thread != 0) leave(visits_of_this_thread);
  visits_of_this_thread = 0;
}

}  // namespace daemonctx::process
