// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <mutex>
#include <vector>

#include "context/plan.hpp"
#include "daemonctx/service_manager.hpp"
#include "manager/sd_notify.hpp"
#include "output/redirection.hpp"
#include "pidfile/pidfile.hpp"
#include "pidfile/reload_status.hpp"
#include "posix/turn.hpp"
#include "safe_path/made_directories.hpp"
#include "supervise/worker_self.hpp"

namespace daemonctx {

/// What a start opens, and the end gives back. The members are for the start, which has one thread; the
/// functions are thread-safe.
struct Resources {
  Redirection redirection;
  Pidfile pidfile;
  SdNotify manager;
  std::vector<ListenDescriptor> listen_descriptors;
  Directories directories;
  WorkerSelf worker;
  ReloadNotice reload_notice;  ///< a worker inherits the monitor's
  int notify_descriptor = -1;
  bool left_root = false;
  posix::Turn showing;       ///< of `show_reload`
  std::mutex pidfile_mutex;  ///< the pidfile may be removed while another thread becomes ready

  /// Every descriptor that a detaching daemon goes on to use, sorted.
  std::vector<int> kept_descriptors(const Plan& plan, int status_fd) const;

  /// Has this worker die with its monitor; the tie is lost with a change of user. \return 0 or an errno.
  int tie_to_monitor() const noexcept;

  /// Shows on the pidfile that the daemon is ready; the monitor does it for a worker. \return 0 or an errno.
  int mark_ready() noexcept;

  /// Removes the pidfile, or empties it where that is not permitted. Further calls do nothing.
  void remove_pidfile() noexcept;

  /// Shows others a reload: on the pidfile's board, or by the monitor. `latest` is asked for what to show,
  /// when it is this thread's turn: so the last call shows the last state.
  template <class Latest>
  void show_reload(int (*show)(int, const ReloadNotice&) noexcept, Latest&& latest) noexcept {
    const posix::Turn::Scope turn(showing);
    show_reload_now(show, latest());
  }

  void show_reload_now(int (*show)(int, const ReloadNotice&) noexcept, const ReloadNotice& notice) noexcept;
};

}  // namespace daemonctx
