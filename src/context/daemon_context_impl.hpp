// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <atomic>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "cleanup/cleanup_timeout.hpp"
#include "daemonctx/cleanup_stack.hpp"
#include "daemonctx/daemon_context.hpp"
#include "daemonctx/respawn_policy.hpp"
#include "daemonctx/service_manager.hpp"
#include "launch/launch_decision.hpp"
#include "launch/status_pipe.hpp"
#include "manager/sd_notify.hpp"
#include "output/redirection.hpp"
#include "pidfile/pidfile.hpp"
#include "pidfile/reload_status.hpp"
#include "posix/identity.hpp"
#include "safe_path/made_directories.hpp"
#include "signals/dispatcher.hpp"

namespace daemonctx {

/// What a context holds from its start (start.cpp) over its life (daemon_context.cpp) to its end (lifetime.cpp).
struct [[gnu::visibility("hidden")]] DaemonContext::Impl {
  Impl(DaemonOptions given, LaunchDecision decision);

  bool detaches() const noexcept { return launch.mode == LaunchMode::detached; }
  bool is_supervised() const noexcept { return options.respawn.has_value(); }
  bool is_worker() const noexcept { return monitor != 0; }

  int tie_to_monitor() const noexcept;  // 0 or an errno

  // Life.
  void become_ready();
  void tell_readiness() noexcept;
  void fail(std::string_view text) noexcept;
  void map_signal(int number, SignalAction action);
  void offer_reload(std::function<void()> call);
  void reload_configuration();
  void reopen_output();
  void reopen_by_monitor();
  void report(const std::exception_ptr& error, std::string_view where) const noexcept;

  // End, in lifetime.cpp.
  // unwinds: the caller's stack will be unwound, so that locks held on it are given up.
  void end(std::string_view reason, bool unwinds) noexcept;
  void remove_pidfile() noexcept;
  void become_inert() noexcept;

  DaemonOptions options;
  LaunchDecision launch;
  Redirection redirection;
  Pidfile pidfile;
  Notify manager;
  std::vector<ListenDescriptor> listen_descriptors;
  std::optional<posix::Identity> identity;  // whom the daemon becomes
  Directories directories;
  bool left_root = false;
  pid_t monitor = 0;         // of a worker
  UniqueFd lifeline;         // to that
  unsigned incarnation = 0;  // counted by the monitor
  std::optional<WorkerEnd> last_exit;
  std::string refusal;  // what before_drop threw
  CleanupStack cleanups;

  std::mutex reload_mutex;
  std::shared_ptr<const std::function<void()>>
      reload;                  // lives as long as it runs, though it be replaced meanwhile
  bool reloads_again = false;  // asked for while one was under way
  ReloadNotice reload_notice;

  std::mutex ready_mutex;
  StatusWriter status;  // open until the daemon is ready
  bool ready = false;
  bool failed = false;

  pid_t owner = 0;
  int exceptions_at_start = 0;
  std::thread::id owner_thread;
  std::vector<int> kept_descriptors;  // sorted; prepared by the caller, used by the daemon

  std::atomic<bool> ending = false;
  std::atomic<std::thread::id> ending_thread;
  std::atomic<bool> ended = false;
  std::unique_ptr<CleanupWatch> watch;
  std::mutex pidfile_mutex;

  SignalDispatcher signals;  // the last, so that no action outlives what it uses

 private:
  void reload_once();
  void finish_reload(bool refused, std::string text) noexcept;
  void show_reloads(int (*show)(int, const ReloadNotice&) noexcept) noexcept;
  bool is_first_to_end() noexcept;
  void tell_the_end(std::string_view reason) noexcept;
  void run_cleanups() noexcept;
  void give_up() noexcept;
};

/// The map that is in force: the given one over the defaults.
SignalMap with_default_signals(SignalMap given, bool detaches);

/// Goes through a start, from validation to the installed guard. Returns in the daemon.
std::unique_ptr<DaemonContext::Impl> start(DaemonOptions options);

/// Knows the open context, and ends it on the ways out that no destructor sees.
class Lifetime {
 public:
  using Impl = DaemonContext::Impl;

  /// Admits one context at a time, from before its start until `close`, or until the claim is dropped.
  class Claim {
   public:
    /// \throws std::logic_error if there is a context.
    Claim();
    ~Claim();
    Claim(const Claim&) = delete;
    Claim& operator=(const Claim&) = delete;
    void keep() noexcept { kept_ = true; }

   private:
    bool kept_ = false;
  };

  /// From now on `std::exit`, `std::terminate` and fork know the context.
  static void open(Impl& impl);
  static void close() noexcept;

 private:
  static void at_exit() noexcept;
  [[noreturn]] static void at_terminate() noexcept;
  static void report_termination(Impl& impl) noexcept;
  static void before_fork() noexcept;
  static void after_fork_in_parent() noexcept;
  static void after_fork_in_child() noexcept;
};

}  // namespace daemonctx
