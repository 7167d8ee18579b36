// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "context/end.hpp"
#include "context/plan.hpp"
#include "context/readiness.hpp"
#include "context/reload.hpp"
#include "context/reopen.hpp"
#include "context/resources.hpp"
#include "context/upgrade.hpp"
#include "daemonctx/daemon_context.hpp"
#include "daemonctx/detail/cleanup_stack.hpp"
#include "process/fork_handlers.hpp"
#include "process/process_title.hpp"
#include "signals/dispatcher.hpp"
#include "supervise/monitor.hpp"

namespace daemonctx {

/// The parts of a context, and the state that belongs to none of them alone.
struct [[gnu::visibility("hidden")]] DaemonContext::Impl {
  /// \param of the `DaemonContext` that this belongs to; nullptr in `preflight`, which starts nothing.
  Impl(DaemonOptions options, LaunchDecision launch, const void* of = nullptr);

  MonitorResources monitor_resources();

  void map_signal(int number, SignalAction action);
  void offer_reload(std::function<void()> function);
  void tell_monitor(std::string_view message);
  void remember(Memory which, std::string_view bytes);
  std::optional<std::string> remembered(Memory which) const;
  UniqueFd open_file(const Path& file) const;
  void run_reload();
  void become_ready();
  void end_holding(std::uint64_t dropped);
  bool is_replaced() const noexcept;

  /// Sends what the manager had no room for, and repairs the output. Called by each thread that dispatches.
  SignalDispatcher::Sleep before_sleep() noexcept;

  int claim(bool predecessor_lives) noexcept;
  void be_service(bool predecessor_lives) noexcept;
  int claim_again() noexcept;
  void show_again() noexcept;
  int mark_ready_again() noexcept;

  void fail(std::string_view text) noexcept;
  void report(const std::exception_ptr& error, std::string_view where) const noexcept {
    report_error(plan.options.on_error, error, where);
  }

  Plan plan;
  process::ProcessTitle title;
  Resources resources;
  detail::CleanupStack cleanups;
  ReadinessState readiness;
  ReloadState reload;
  OutputReopening reopening;
  const void* context;
  std::optional<HandOver> predecessor = {};  // the record of a monitor's former program, until it takes over
  std::vector<int> kept_descriptors = {};    // sorted; prepared by the caller, used by the daemon
  std::string refusal = {};                  // the text of a failed start step, besides its errno
  std::thread::id owner_thread;
  int exceptions_at_start = 0;
  SignalDispatcher signals;
  Upgrade upgrade;
  Ending ending;
  std::optional<process::ForkHookScope> cleanup_forks = {};  // while the context is open
};

/// Runs a start, from validation to the open context. Returns in the daemon; with a monitor in each worker.
/// \param context the `DaemonContext` that is being constructed.
/// \throws what the constructor of `DaemonContext` throws, in the caller.
std::unique_ptr<DaemonContext::Impl> start(const void* context, DaemonOptions options);

/// From now on public members find the context, and std::exit and std::terminate end it.
/// \throws std::bad_alloc
void open_lifetime(DaemonContext::Impl& impl);

/// Closes the context again when a start fails after `open_lifetime`, and restores the terminate handler.
void close_lifetime() noexcept;

}  // namespace daemonctx
