// SPDX-License-Identifier: BSL-1.0
#include "context/end.hpp"

#include <algorithm>
#include <cstdlib>
#include <future>
#include <posix/syscalls.hpp>
#include <stdexcept>
#include <system_error>

#include "base/graces.hpp"
#include "base/timeout_text.hpp"
#include "posix/cancel_block.hpp"
#include "process/end_of_process.hpp"
#include "process/exit_lock.hpp"
#include "process/owner.hpp"
#include "process/pidfile_claim.hpp"

namespace daemonctx {

Timeout Ending::patience(const DaemonOptions& options) noexcept {
  return options.cleanup_timeout.is_forever() ? graces::cleanup : options.cleanup_timeout;
}

// A child that a cleanup forked may return from the cleanup; it must not end the context.
void Ending::run(std::string_view reason, bool is_first, bool unwinds) noexcept {
  if (process::has_ended()) return;
  const posix::CancelBlock no_cancel;
  if (is_first) begin(reason, unwinds);
  watch_cleanups(unwinds);
  run_cleanups();
  if (!process::is_owner()) return;
  parts_.resources.remove_pidfile();
  parts_.signals.uninstall(!unwinds);
  timeout_.reset();
  process::finish_end();
}

// The library's thread gets less time than the threads that wait for this one. An action that takes longer
// is left running, and the end goes on.
void Ending::begin(std::string_view reason, bool unwinds) noexcept {
  process::show_stop();
  parts_.upgrade.end();
  if (parts_.resources.heir) parts_.resources.heir->end();
  if (!parts_.resources.belongs_to_another()) parts_.resources.manager.stopping();
  parts_.readiness.end(reason);
  parts_.signals.end_waits();
  process::note_end_progress();
  const Timeout limit = unwinds ? patience(parts_.options).length() / 4 * 3 : Timeout();
  left_thread_ = !parts_.signals.stop_thread(limit);
}

// Without `cleanup_timeout` a cleanup is limited only while another thread waits for this one. A thread in
// std::exit may wait for the C library's lock, where no hook of ours sees it.
void Ending::watch_cleanups(bool unwinds) noexcept {
  if (timeout_) return;
  const auto limit = patience(parts_.options);
  if (!parts_.options.cleanup_timeout.is_forever()) {
    timeout_ = std::make_unique<CleanupTimeout>(limit, [this] { give_up(); });
    return;
  }
  if (unwinds) return;
  const process::ExitLock lock = process::ExitLock::held_by_this_thread();
  if (!lock) return;
  timeout_ = std::make_unique<CleanupTimeout>(limit, [this, lock] {
    if (lock.is_awaited()) give_up();
  });
}

void Ending::run_cleanups() noexcept {
  const auto next = [this] {
    if (timeout_) timeout_->rearm();
    process::note_end_progress();
  };
  next();
  const auto report = [](void* ending, const std::exception_ptr& error) {
    report_error(static_cast<Ending*>(ending)->parts_.options.on_error, error, "cleanup");
  };
  while (process::is_owner() && parts_.cleanups.run_last(report, this)) {
    if (process::is_owner()) next();
  }
}

// The report gets a thread and a time limit: it may need a lock that the hanging cleanup holds. A second is
// the least, so that a short `cleanup_timeout` leaves time for it.
void Ending::give_up() noexcept {
  while (gives_up_.exchange(true)) ::pause();  // another thread is already ending the process
  const auto limit = patience(parts_.options);
  const auto text = "did not end within " + to_text(limit) + ", given up";
  std::promise<void> reported;
  const auto done = reported.get_future();
  try {
    std::thread([&] {
      report(text);
      reported.set_value();
    }).detach();
    done.wait_until(posix::deadline_in(std::max(limit, Timeout(std::chrono::seconds(1)))));
  } catch (const std::system_error&) {  // no thread: end without a report
    static_cast<void>(0);
  }
  parts_.resources.remove_pidfile();
  posix::_exit(EXIT_FAILURE);
}

void Ending::report(const std::string& text) noexcept {
  report_error(parts_.options.on_error, std::make_exception_ptr(std::runtime_error(text)), "cleanup");
}

}  // namespace daemonctx
