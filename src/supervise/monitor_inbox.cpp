// SPDX-License-Identifier: BSL-1.0

// What a monitor hears from its worker, and what it lets others know.

#include <posix/syscalls.hpp>
#include <stdexcept>

#include "pidfile/worker_status.hpp"
#include "posix/child_trap.hpp"
#include "supervise/monitor.hpp"

namespace daemonctx {

void Monitor::receive_messages() {
  // A worker that does not stop talking must not keep the monitor from all else.
  constexpr int most_messages = 1000;
  for (int count = 0; count < most_messages; ++count) {
    auto message = receive_message(connection_.get());
    if (!message) return;
    take(std::move(*message));
  }
}

void Monitor::take(WorkerMessage message) {
  const std::string& text = message.text;
  last_said_ = Clock::now();
  if (text == "READY=1" && !ready_) return become_ready();
  if (text == reopen_message) return reopen_output(std::move(message.descriptor));
  if (text == cut_off_message) {
    stopping_ = true;
    return;
  }
  if (auto notice = told_reload(text)) {
    if (notice->finished - impl_.reload_notice.finished > 1) return;  // reloads are counted one by one
    offers_reload_ = true;
    if (notice->running || notice->finished != impl_.reload_notice.finished) signals_.settle(SIGHUP);
    return take_reload(std::move(*notice));
  }
  if (const auto number = mapped_signal(text)) {
    if (*number == SIGHUP) offers_reload_ = false;  // if it is mapped to that, a notice follows
    return signals_.add(*number);
  }
  // Of a worker's end the manager hears only if it is the service's.
  if (text == "STOPPING=1") {
    ending_ = true;
    return;
  }
  if (text == "WATCHDOG=1" && impl_.manager.watchdog_timeout().count() == 0) return;
  if (text == "WATCHDOG=1") return impl_.manager.ping();
  const std::string passed = for_manager(text);
  if (!passed.empty()) impl_.manager.send(passed, message.descriptor.get());
}

void Monitor::become_ready() {
  ready_ = true;
  if (!stopping_) kill_at_ = Clock::time_point::max();
  if (!was_ever_ready_) {
    was_ever_ready_ = true;
    if (impl_.pidfile) impl_.pidfile.mark_ready();
    impl_.redirection.follow();
    impl_.status.close();
    // The worker has told it, and who waits for its end waits for this copy too.
    UniqueFd told(std::exchange(impl_.options.notify_descriptor, -1));
  }
  impl_.manager.ready(impl_.detaches() ? posix::getpid() : 0);
}

void Monitor::reopen_output(UniqueFd asker) noexcept {
  std::string refusal;
  try {
    impl_.redirection.reopen(impl_.options.stdio, impl_.pidfile.fd());
  } catch (const std::exception& error) {
    refusal = error.what();
  }
  const auto passes = [this](int stream) { return impl_.redirection.reopens(impl_.options.stdio, stream); };
  answer_reopen(std::move(asker), refusal, passes(STDOUT_FILENO), passes(STDERR_FILENO));
}

void Monitor::take_reload(ReloadNotice notice) noexcept {
  impl_.reload_notice = std::move(notice);
  if (!impl_.pidfile) return;
  show_outcome(impl_.pidfile.fd(), impl_.reload_notice);
  impl_.pidfile.touch();
}

// Whoever waits for the outcome of a reload that the worker did not survive, or has not begun.
void Monitor::end_reload() {
  if (offers_reload_) signals_.keep_unsettled(SIGHUP);
  if (!impl_.reload_notice.running) return;
  take_reload({impl_.reload_notice.finished + 1, false, true, "the worker ended meanwhile"});
}

void Monitor::show() noexcept {
  if (!impl_.pidfile) return;
  WorkerStatus notice{impl_.incarnation, {}, impl_.last_exit};
  const bool runs = !impl_.last_exit || impl_.last_exit->incarnation != impl_.incarnation;
  if (runs) notice.since = std::chrono::system_clock::now();
  show_worker(impl_.pidfile.fd(), notice);
}

void Monitor::report(const std::string& text) const noexcept {
  const posix::ChildTrap trap;
  impl_.report(std::make_exception_ptr(std::runtime_error(text)), "monitor");
}

void Monitor::request_stop() {
  if (std::exchange(stopping_, true)) return;
  kill_at_ = posix::deadline_in(policy_.stop_timeout);
  impl_.manager.stopping();
}

}  // namespace daemonctx
