// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <exception>
#include <functional>
#include <string_view>

#include "daemonctx/launch_mode.hpp"
#include "daemonctx/respawn_policy.hpp"
#include "daemonctx/signal_map.hpp"
#include "daemonctx/stdio.hpp"
#include "daemonctx/timeout.hpp"
#include "daemonctx/upgrade_options.hpp"
#include "launch/status_pipe.hpp"
#include "manager/sd_notify.hpp"
#include "output/output_repair.hpp"
#include "output/redirection.hpp"
#include "pidfile/pidfile.hpp"
#include "pidfile/reload_status.hpp"
#include "process/process_title.hpp"
#include "sockets/sockets.hpp"
#include "supervise/worker_self.hpp"
#include "upgrade/hand_over.hpp"
#include "upgrade/program.hpp"

namespace daemonctx {

/// What a monitor uses of the start that it is a part of. All objects referred to outlive the monitor.
struct MonitorResources {
  const RespawnPolicy& policy;
  SignalMap signal_map;  ///< of the service, with the defaults
  bool detaches;
  Timeout ready_timeout;
  const Stdio& stdio;
  const process::ProcessTitle& title;

  SdNotify& manager;
  Pidfile& pidfile;
  Redirection& redirection;
  OutputRepair& output_repair;
  StatusWriter& status;    ///< to the caller, until the first worker is ready
  int& notify_descriptor;  ///< to the supervisor, until the first worker is ready
  Sockets& sockets;
  const std::vector<ListenDescriptor>& passed;  ///< by the service manager
  LaunchMode mode;
  WorkerSelf& worker;           ///< filled in for the worker that is forked next
  ReloadNotice& reload_notice;  ///< what others are shown; the next worker continues its count

  const OwnProgram& program;  ///< for upgrades
  const UpgradeOptions& upgrade;
  std::optional<HandOver>& predecessor;  ///< this process's former program, until the monitor has taken over

  std::function<void(const std::exception_ptr& error, std::string_view where)> report;

  /// Removes the pidfile. Without `keep`, it also undoes what the start has made.
  std::function<void()> remove_pidfile;

  /// Call it when the start has succeeded. Closes the descriptors that a failed start needs to undo its work.
  std::function<void()> keep;
};

}  // namespace daemonctx
