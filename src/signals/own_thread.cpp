// SPDX-License-Identifier: BSL-1.0

// The thread that runs a dispatcher's actions with SignalDelivery::on_own_thread.

#include <poll.h>

#include <cstdlib>
#include <posix/syscalls.hpp>
#include <system_error>

#include "base/deadline.hpp"
#include "process/gate.hpp"
#include "signals/dispatcher.hpp"
#include "signals/inbox.hpp"

namespace daemonctx {

using posix::Clock;

void SignalDispatcher::start_thread() {
  has_thread_ = true;
  try {
    thread_ = std::thread([this] { deliver(); });
  } catch (const std::system_error& error) {
    has_thread_ = false;
    throw std::system_error(error.code(), "cannot start the thread that runs signal actions");
  }
}

bool SignalDispatcher::stop_thread(Timeout longest) noexcept {
  if (!thread_.joinable()) return true;
  quits_ = true;
  if (thread_.get_id() == std::this_thread::get_id()) {  // an action ends the context
    thread_.detach();
    return false;
  }
  signal_inbox.wake.notify();
  const auto deadline = posix::deadline_in(longest);
  while (thread_state_ == runs && Clock::now() < deadline) posix::futex_wait(thread_state_, runs, deadline);
  if (thread_state_ == has_ended) thread_.join();
  else thread_.detach();
  return thread_state_ != runs;
}

void SignalDispatcher::note_thread_waits() noexcept {
  if (thread_.get_id() == std::this_thread::get_id()) note_thread(waits_for_end);
}

void SignalDispatcher::note_thread(ThreadState state) noexcept {
  thread_state_ = state;
  posix::futex_wake(thread_state_);
}

// `visit` keeps this object alive while an action runs. It ends early if the action calls std::exit.
void SignalDispatcher::deliver() {
  bool goes_on = true;
  Sleep sleep;
  while (goes_on && !quits_) {
    std::array<pollfd, 3> events{{{fd(), POLLIN, 0}, {sleep.watched[0], 0, 0}, {sleep.watched[1], 0, 0}}};
    posix::poll(events.data(), events.size(), posix::poll_timeout(sleep.longest));
    const process::Visit visit(process::any_context);
    signal_inbox.wake.drain();
    goes_on = run_pending();
    if (goes_on) sleep = next_sleep();
  }
  if (goes_on) {
    const process::Visit visit(process::any_context);
    goes_on = run_pending_stop();
  }
  // End a child that an action forked and that returned from it: the child has nothing to return to.
  if (!goes_on) posix::_exit(EXIT_FAILURE);
  note_thread(has_ended);
}

}  // namespace daemonctx
