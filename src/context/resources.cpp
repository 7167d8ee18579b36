// SPDX-License-Identifier: BSL-1.0
#include "context/resources.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <posix/syscalls.hpp>

#include "base/graces.hpp"
#include "pidfile/lock_board.hpp"
#include "posix/cancel_block.hpp"
#include "signals/inbox.hpp"
#include "supervise/worker_protocol.hpp"

namespace daemonctx {

std::vector<int> Resources::kept_descriptors(const Plan& plan, int status_fd) const {
  std::vector<int> kept = plan.options.files_preserve;
  redirection.append_descriptors(kept);
  for (const auto& each : plan.options.restrictions) {
    for (const int fd : each->descriptors()) kept.push_back(fd);
  }
  for (const ListenDescriptor& each : listen_descriptors) kept.push_back(each.fd);
  sockets.append_descriptors(kept);
  pidfile.append_descriptors(kept);
  if (heir) heir->append_descriptors(kept);
  for (const UniqueFd& each : worker.remembered) {
    if (each) kept.push_back(each.get());
  }
  if (worker.lifeline) kept.push_back(worker.lifeline.get());
  // The wake-up descriptors are open here after an earlier context.
  const auto& inbox = signal_inbox;
  for (const int fd : {status_fd, manager.fd(), notify_descriptor, inbox.wake.fd(), inbox.wake.writer(),
                       inbox.stop_wake.fd(), inbox.stop_wake.writer()}) {
    if (fd != -1) kept.push_back(fd);
  }
  std::sort(kept.begin(), kept.end());
  return kept;
}

void Resources::keep() noexcept {
  const std::lock_guard lock(pidfile_mutex);
  directories.keep();
  sockets.keep();
}

// PR_SET_PDEATHSIG takes effect when the thread that forked ends. The monitor has no other thread.
int Resources::tie_to_monitor() const noexcept {
  if (!worker.is_worker()) return 0;
#ifdef PR_SET_PDEATHSIG
  if (posix::prctl(PR_SET_PDEATHSIG, static_cast<unsigned long>(SIGKILL), 0UL, 0UL, 0UL) == -1) return errno;
#endif
  if (posix::getppid() != worker.monitor) posix::_exit(EXIT_FAILURE);  // the monitor ended before `prctl`
  return 0;
}

void Resources::close_status() noexcept {
  const std::lock_guard lock(pidfile_mutex);
  status.close();
}

int Resources::mark_ready() noexcept {
  const std::lock_guard lock(pidfile_mutex);
  return pidfile && is_claimed && !worker.is_worker() ? pidfile.mark_ready() : 0;
}

void Resources::remove_pidfile() noexcept {
  const std::lock_guard lock(pidfile_mutex);
  if (status.has_reader()) return;
  if (belongs_to_another()) {
    sockets.leave_files();
    return pidfile.leave();
  }
  if (!worker.is_worker()) sockets.remove_files();  // first: a directory must be empty to be removed
  if (!worker.is_worker() && (redirection.can_undo() || directories.can_undo())) undo_failed_start();
  pidfile.remove();
}

// If the pidfile was replaced, another daemon may use the files and directories. Behind a new root directory
// nothing can be said of the pidfile's place.
void Resources::undo_failed_start() noexcept {
  const bool is_in_place = pidfile.is_in_place();
  if (is_in_place) redirection.undo();
  if (is_in_place || left_root || !pidfile) directories.undo();
}

// Ignore an error: a client that waits for the reload sees no outcome, and the service is not harmed.
int Resources::show_reload_now(int (*show)(int, const ReloadNotice&) noexcept,
                               const ReloadNotice& notice) noexcept {
  if (worker.is_worker()) return tell_reload(reload_message(notice), notice.running);
  const std::lock_guard lock(pidfile_mutex);
  if (!pidfile || !shows) return 0;
  static_cast<void>(show(pidfile.fd(), notice));
  pidfile.rewrite_pid();
  return 0;
}

// The reload begins after the monitor has shown that it does. Otherwise a process that asks for a reload in
// between would take this one for the reload that it asked for.
int Resources::tell_reload(const std::string& message, bool begins) const noexcept {
  const posix::CancelBlock no_cancel;
  const int error = begins ? manager.barrier(graces::barrier, message) : manager.send(message);
  const bool is_sent = error == 0 || error == ETIMEDOUT;
  return begins && !is_sent ? manager.send(message) : error;
}

void Resources::show_upgrade(const UpgradeNotice& notice) noexcept {
  const posix::Turn::Scope turn(showing);
  const std::lock_guard lock(pidfile_mutex);
  if (!pidfile || !shows || worker.is_worker()) return;
  static_cast<void>(daemonctx::show_upgrade(pidfile.fd(), notice));
  pidfile.rewrite_pid();
}

void Resources::keep_memory(UniqueFd memory) noexcept {
  const std::lock_guard lock(pidfile_mutex);
  worker.remembered.at(static_cast<std::size_t>(Memory::program)) = std::move(memory);
}

UniqueFd Resources::copy_of_memory() noexcept {
  const std::lock_guard lock(pidfile_mutex);
  const UniqueFd& memory = worker.remembered.at(static_cast<std::size_t>(Memory::program));
  return UniqueFd(memory ? posix::fcntl(memory.get(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1) : -1);
}

void Resources::show_status(std::string_view text) noexcept {
  if (worker.is_worker()) return;
  {
    const std::lock_guard lock(pidfile_mutex);
    status_text = {};
    text.copy(status_text.data(), status_text.size());
  }
  show_status_again();
}

void Resources::show_status_again() noexcept {
  const posix::Turn::Scope turn(showing);
  const std::lock_guard lock(pidfile_mutex);
  if (!pidfile || !shows) return;
  posix::show_text(pidfile.fd(), posix::BoardText::status,
                   {status_text.data(), ::strnlen(status_text.data(), status_text.size())});
}

}  // namespace daemonctx
