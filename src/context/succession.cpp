// SPDX-License-Identifier: BSL-1.0

// How a process that an upgrade has started becomes the service, and how its predecessor becomes it again.

#include <posix/syscalls.hpp>

#include "base/deadline.hpp"
#include "base/graces.hpp"
#include "context/daemon_context_impl.hpp"
#include "context/daemon_steps.hpp"

namespace daemonctx {

// The locks of a predecessor that was killed may outlive its connection for a moment. What others look for in
// a service is shown before they take it for ready, and is true by then: they may ask for it at once.
int DaemonContext::Impl::claim(bool predecessor_lives) noexcept {
  const auto deadline = posix::deadline_in(graces::ending);
  int error = claim_pidfile(*this);
  while (error != 0 && !predecessor_lives && posix::Clock::now() < deadline) {
    posix::poll(nullptr, 0, 1);
    error = claim_pidfile(*this);
  }
  if (error != 0) return error;
  resources.shows = true;
  resources.is_claimed = true;
  show_again();
  upgrade.offer(resources.heir->record());
  error = mark_ready_again();
  if (error != 0) resources.is_claimed = false;
  return error;
}

void DaemonContext::Impl::be_service(bool predecessor_lives) noexcept {
  upgrade.finish();
  if (resources.manager.next_ping() != posix::Clock::time_point::max()) resources.manager.ping();
  if (!predecessor_lives) static_cast<void>(resources.manager.ready(posix::getpid()));
}

// What the lock board lost, or did not show while another process was the service.
void DaemonContext::Impl::show_again() noexcept {
  if (reload.is_offered()) static_cast<void>(reload.show_offer());
  resources.show_status_again();
}

int DaemonContext::Impl::claim_again() noexcept {
  const std::lock_guard lock(resources.pidfile_mutex);
  return claim_pidfile(*this);
}

// Writes the pidfile once more: whoever waits for an upgrade sees that, but not a lock.
int DaemonContext::Impl::mark_ready_again() noexcept {
  const std::lock_guard lock(resources.pidfile_mutex);
  if (!resources.pidfile) return 0;
  const int error = resources.pidfile.mark_ready();
  if (error == 0) resources.pidfile.rewrite_pid();
  return error;
}

}  // namespace daemonctx
