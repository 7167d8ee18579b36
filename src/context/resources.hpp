// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "context/heir.hpp"
#include "context/plan.hpp"
#include "daemonctx/service_manager.hpp"
#include "launch/status_pipe.hpp"
#include "manager/sd_notify.hpp"
#include "output/output_repair.hpp"
#include "output/redirection.hpp"
#include "pidfile/lock_board.hpp"
#include "pidfile/pidfile.hpp"
#include "pidfile/reload_status.hpp"
#include "posix/turn.hpp"
#include "safe_path/made_directories.hpp"
#include "sockets/sockets.hpp"
#include "supervise/worker_self.hpp"
#include "upgrade/upgrade_notice.hpp"

namespace daemonctx {

/// Everything that a start opens and the end closes. `kept_descriptors` is
/// for the start, which has one thread; the other functions are thread-safe.
struct Resources {
  Redirection redirection;
  OutputRepair output_repair;
  Pidfile pidfile;
  SdNotify manager;
  std::vector<ListenDescriptor> listen_descriptors;
  Directories directories;
  Sockets sockets;
  WorkerSelf worker;
  ReloadNotice reload_notice;  ///< a worker begins with the monitor's
  int notify_descriptor = -1;
  bool left_root = false;
  StatusWriter status;                    ///< to the caller, until the daemon is ready
  posix::Turn showing;                    ///< of `show_reload`
  std::mutex pidfile_mutex;               ///< one thread may remove the pidfile while another becomes ready
  std::unique_ptr<Heir> heir;             ///< empty: no upgrade has started this process
  std::atomic<bool> is_claimed = true;    ///< false in a successor that is not the service yet
  std::atomic<bool> is_replaced = false;  ///< a successor is the service
  std::atomic<bool> shows = true;         ///< this process has the identity lock, or there is none to have
  std::array<char, posix::longest(posix::BoardText::status)> status_text = {};  ///< the last, up to a NUL

  /// The descriptors that a detaching daemon keeps open, sorted.
  std::vector<int> kept_descriptors(const Plan& plan, int status_fd) const;

  /// Call it when the start has succeeded. Closes the descriptors that a failed start needs to undo its work.
  /// \note Runs in the daemon before it may allocate.
  void keep() noexcept;

  /// Makes this worker die with its monitor, until a change of user. Exits if the monitor is gone. Does
  /// nothing in other processes. \return 0 or an errno.
  int tie_to_monitor() const noexcept;

  /// Closes the pipe to the caller, which then ends.
  void close_status() noexcept;

  /// Marks the pidfile ready. Does nothing in a worker: the monitor does it. \return 0 or an errno.
  int mark_ready() noexcept;

  /// Removes the pidfile, or empties it where that is not permitted. Before that, while the lock excludes
  /// other starts, removes the socket files, removes the empty logs that a failed start created, and undoes
  /// what it did to directories. A worker leaves the socket files to its monitor.
  /// Further calls do nothing. Does nothing either while a caller waits: the caller does the same with the
  /// rights of the start, and still has the lock.
  void remove_pidfile() noexcept;

  /// Shows a reload on the pidfile's lock board; a worker sends it to its monitor, which shows it. `latest`
  /// returns the notice. It is called when this thread has its turn, so the last call shows the last state.
  /// \return 0, or the errno with which a worker fails to tell its monitor.
  template <class Latest>
  int show_reload(int (*show)(int, const ReloadNotice&) noexcept, Latest&& latest) noexcept {
    const posix::Turn::Scope turn(showing);
    return show_reload_now(show, latest());
  }

  /// Whether pidfile, socket files and manager are another process's.
  bool belongs_to_another() const noexcept { return is_replaced || !is_claimed; }

  /// What `DaemonContext::remember` keeps without a monitor: for a successor.
  void keep_memory(UniqueFd memory) noexcept;
  UniqueFd copy_of_memory() noexcept;

  void show_upgrade(const UpgradeNotice& notice) noexcept;

  /// Shows a text for people on the pidfile's lock board. Does nothing in a worker: the monitor does it.
  void show_status(std::string_view text) noexcept;
  void show_status_again() noexcept;

  void undo_failed_start() noexcept;
  int tell_reload(const std::string& message, bool begins) const noexcept;
  int show_reload_now(int (*show)(int, const ReloadNotice&) noexcept, const ReloadNotice& notice) noexcept;
};

}  // namespace daemonctx
