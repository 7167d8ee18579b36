// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <posix/syscalls.hpp>

#include "features.hpp"
#include "posix/unique_fd.hpp"
#if DAEMONCTX_HAVE_INOTIFY
#include <sys/inotify.h>
#endif

namespace daemonctx::posix {

/// A descriptor that is readable after a write to the file. Empty, with errno, where the system has none.
/// The caller must then poll the file, and also if the file system reports no changes.
inline UniqueFd watch_writes(const char* path) noexcept {
#if DAEMONCTX_HAVE_INOTIFY
  UniqueFd watch(static_cast<int>(posix::syscall(SYS_inotify_init1, IN_CLOEXEC | IN_NONBLOCK)));
  if (watch && posix::syscall(SYS_inotify_add_watch, watch.get(), path, IN_MODIFY) == -1) watch.reset();
  return watch;
#else
  static_cast<void>(path);
  errno = ENOSYS;
  return {};
#endif
}

/// Makes `watch` unreadable until the next write. The system merges equal events: one call reads all, also
/// while another process writes again and again.
inline void drain_watch(const UniqueFd& watch) noexcept {
  std::array<char, 4096> events;
  if (watch) static_cast<void>(posix::read(watch.get(), events.data(), events.size()));
}

}  // namespace daemonctx::posix
