// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemonctx/launch_mode.hpp"
#include "daemonctx/respawn_policy.hpp"
#include "daemonctx/service_manager.hpp"
#include "posix/unique_fd.hpp"

namespace daemonctx {

/// The variable that names the descriptor of the record.
inline constexpr std::string_view hand_over_variable = "DAEMONCTX_HAND_OVER";

/// Names why the new program gave the monitor's process back, to the old program, which goes on.
inline constexpr std::string_view handed_back_variable = "DAEMONCTX_HANDED_BACK";

/// A worker of a monitor that an upgrade replaces.
struct HandedWorker {
  pid_t pid = 0;  ///< 0: it has ended
  unsigned number = 0;
  std::int64_t began = 0;    ///< milliseconds since boot
  std::uint64_t mapped = 0;  ///< the signals that it has mapped itself, as bits
  bool is_ready = false;
  bool offers_reload = false;
  bool has_released = false;  ///< it holds no unmapped signal any more
  int connection = -1;        ///< the monitor's end
  int lifeline = -1;          ///< the holder's end
  int notes = -1;             ///< memory for its crash notes; -1: none
};

/// A pipe from a service's workers to syslog.
struct HandedPump {
  int reader = -1;
  int writer = -1;
  int rest = -1;  ///< sealed memory with the beginning of a line that was read; -1: none
};

/// What a service gives to the process that an upgrade starts: open descriptors, by number. That process
/// gets it as a record in sealed memory: lines of text, the first of which has the version of the record. An
/// older or newer program refuses a version that it does not know.
struct HandOver {
  static constexpr int version = 1;

  /// What the process is to be.
  enum class Role {
    service,  ///< in place of the process that has started it
    worker,   ///< of the monitor that has started it
    monitor,  ///< in place of the program that this process has executed before
  };

  Role role = Role::service;
  LaunchMode mode = LaunchMode::detached;
  pid_t requester = 0;         ///< who asked for the upgrade
  std::uint64_t finished = 0;  ///< upgrades before this one
  std::uint64_t reloads = 0;   ///< that have finished; for workers and monitors
  unsigned number = 0;         ///< for a worker
  pid_t monitor = 0;           ///< for a worker
  int pidfile = -1;            ///< for a worker: the one for workers
  int status = -1;             ///< the writing end of a status pipe
  int channel = -1;            ///< see successor.hpp
  int connection = -1;         ///< for a worker, to its monitor
  int lifeline = -1;           ///< for a worker
  int notes = -1;              ///< memory for the crash notes of a worker; -1: none
  int output = -1;             ///< what descriptors 1 and 2 lead to once the process is ready
  int error = -1;
  int memory = -1;          ///< what the program remembers, sealed; -1: nothing
  int service_memory = -1;  ///< what `Service` remembers
  int worker_pidfile = -1;  ///< for a monitor: the pidfile for its workers
  int program = -1;         ///< for a monitor: the file of the program before
  std::string file = {};    ///< for a monitor: the path of the former program, for its upgrades
  std::vector<ListenDescriptor> sockets = {};  ///< those of `DaemonOptions::sockets`
  std::vector<ListenDescriptor> passed = {};   ///< other descriptors of the service manager
  unsigned pump_count = 0;                     ///< for a worker
  std::vector<HandedPump> pumps = {};          ///< for a monitor
  std::vector<std::string> opens = {};         ///< the files that a worker may have opened by its monitor
  std::vector<HandedWorker> workers = {};      ///< for a monitor: the new one, then the old one
  std::optional<WorkerEnd> last_end = {};      ///< for a monitor

  std::string to_text() const;

  /// \throws std::runtime_error: another version, or no record.
  static HandOver parse(std::string_view text);

  /// All descriptors.
  std::vector<int> descriptors() const;

  /// Takes the record that this process was started with, and removes the variable. Its descriptors close on
  /// exec from now on. Empty: no upgrade has started this process.
  /// \throws DaemonError (`adopt_predecessor`).
  static std::optional<HandOver> take();
};

}  // namespace daemonctx
