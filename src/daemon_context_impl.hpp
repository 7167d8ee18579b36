// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <atomic>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "daemonctx/cleanup_stack.hpp"
#include "daemonctx/daemon_context.hpp"
#include "launch_decision.hpp"
#include "notify.hpp"
#include "pidfile.hpp"
#include "readiness.hpp"
#include "redirection.hpp"
#include "signal_dispatcher.hpp"

namespace daemonctx {

/// What a context holds from its start (start.cpp) over its life (daemon_context.cpp) to its end (lifetime.cpp).
struct DaemonContext::Impl {
  Impl(DaemonOptions given, LaunchDecision decision);

  bool detaches() const noexcept { return launch.mode == LaunchMode::detached; }

  // Life.
  void become_ready();
  void fail(std::string_view text) noexcept;
  void reload_configuration() noexcept;
  void reopen_output();
  void report(const std::exception_ptr& error, std::string_view where) const noexcept;

  // End. Each part takes effect once, whoever comes first.
  void end(std::string_view reason) noexcept;
  void run_cleanups() noexcept;
  void remove_pidfile() noexcept;

  DaemonOptions options;
  LaunchDecision launch;
  Redirection redirection;
  Pidfile pidfile;
  StatusWriter status;  // open until the daemon is ready
  Notify manager;
  SignalDispatcher signals;
  CleanupStack cleanups;
  std::function<void()> reload;

  pid_t owner = 0;
  std::thread::id owner_thread;
  int exceptions_at_start = 0;
  std::vector<int> kept_descriptors;  // sorted; prepared by the caller, used by the daemon
  std::atomic<bool> ready = false;
  std::atomic<bool> ending = false;
  std::mutex ready_mutex;
  std::mutex pidfile_mutex;
};

/// Goes through a start, from validation to the installed guard. Returns in the daemon.
std::unique_ptr<DaemonContext::Impl> start(DaemonOptions options);

/// Knows the open context, and ends it on the ways out that no destructor sees.
class Lifetime {
 public:
  using Impl = DaemonContext::Impl;

  /// \throws std::logic_error if a context is open.
  static void refuse_second();

  /// From now on `std::exit`, `std::terminate` and fork know the context.
  static void open(Impl& impl);
  static void close() noexcept;

 private:
  static void at_exit() noexcept;
  [[noreturn]] static void at_terminate() noexcept;
  static void before_fork() noexcept;
  static void after_fork_in_parent() noexcept;
  static void after_fork_in_child() noexcept;
};

}  // namespace daemonctx
