// SPDX-License-Identifier: BSL-1.0

// A pidfile that passes to another process, or comes from one.

#include <posix/syscalls.hpp>

#include "daemonctx/error.hpp"
#include "pidfile/locks.hpp"
#include "pidfile/open_pidfile.hpp"
#include "pidfile/pidfile.hpp"
#include "posix/retry.hpp"
#include "process/pidfile_claim.hpp"
#include "safe_path/trusted_path.hpp"

namespace daemonctx {

using process::pidfile_claim;

Pidfile Pidfile::inherit(const Path& path, UniqueFd fd) {
  const posix::DirectoryEntry entry = find_pidfile(path);
  if (!leads_to(entry.directory.get(), entry.name.data(), fd.get()))
    throw unusable_pidfile(path, "the running daemon has another one");
  if (const int error = posix::lock_exclusion(fd.get()))
    throw DaemonError(Step::lock_pidfile, {error, std::generic_category()}, path.native());
  return {path, process::PrivateFd(std::move(fd))};
}

Pidfile Pidfile::inherit_as_worker(const Path& path, UniqueFd fd, pid_t monitor) {
  const posix::DirectoryEntry entry = find_pidfile(path);
  struct stat file {};
  if (!leads_to(entry.directory.get(), entry.name.data(), fd.get()) || posix::fstat(fd.get(), &file) == -1)
    throw unusable_pidfile(path, "the running daemon has another one");
  pidfile_claim.device = file.st_dev;
  pidfile_claim.inode = file.st_ino;
  pidfile_claim.ready = false;
  pidfile_claim.pid = monitor;
  Pidfile pidfile(path, process::PrivateFd());
  pidfile.for_workers_.reset(std::move(fd));
  pidfile.leave_to_monitor();
  return pidfile;
}

void Pidfile::disclaim() noexcept {
  pidfile_claim.shows_stop = -1;
  pidfile_claim.ready = false;
  pidfile_claim.pid = 0;
  posix::unlock_identity(fd_.get());
}

void Pidfile::leave() noexcept { close(); }

void Pidfile::open_worker_handle() {
  const posix::DirectoryEntry entry = find_pidfile(path_);
  constexpr int flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
  for_workers_.reset(
      UniqueFd(posix::retry([&] { return posix::openat(entry.directory.get(), entry.name.data(), flags); })));
  if (!for_workers_) throw DaemonError(Step::open_pidfile, posix::last_error(), path_.native());
  if (!leads_to(entry.directory.get(), entry.name.data(), fd_.get()))
    throw unusable_pidfile(path_, "it was replaced");
}

void Pidfile::leave_to_monitor() noexcept {
  is_shared_ = true;
  // Without open-file-description locks the worker shares the monitor's descriptor.
  if (for_workers_ && posix::lock_as_worker(for_workers_.get()) == 0) fd_ = std::move(for_workers_);
  for_workers_.reset();  // this process has no other locks to lose
  pidfile_claim.worker = posix::getpid();
  pidfile_claim.shows_stop = -1;
}

bool Pidfile::is_left_to(pid_t monitor) noexcept {
  return pidfile_claim.worker == posix::getpid() && pidfile_claim.pid == monitor;
}

}  // namespace daemonctx
