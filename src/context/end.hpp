// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>
#include <memory>
#include <string_view>
#include <thread>

#include "cleanup/cleanup_timeout.hpp"
#include "context/error_report.hpp"
#include "context/readiness.hpp"
#include "context/resources.hpp"
#include "context/upgrade.hpp"
#include "daemonctx/detail/cleanup_stack.hpp"
#include "signals/dispatcher.hpp"

namespace daemonctx {

/// The end of a context: its steps, and what happens when one takes too long. process/end_of_process.hpp
/// decides which thread runs it.
class Ending {
 public:
  struct Parts {
    const DaemonOptions& options;
    detail::CleanupStack& cleanups;
    ReadinessState& readiness;
    Resources& resources;
    SignalDispatcher& signals;
    Upgrade& upgrade;
  };
  explicit Ending(const Parts& parts) noexcept : parts_(parts) {}

  /// How long a step may keep another thread waiting: `cleanup_timeout`, or 5 s if that is `forever`.
  static Timeout patience(const DaemonOptions& options) noexcept;

  /// Tells the manager, runs the cleanups, removes the pidfile, puts dispositions and mask back.
  /// \param is_first false: a cleanup of this end has called std::exit; the end goes on with the next one.
  /// \param unwinds whether this thread's stack will be unwound, so that it can wait for other threads.
  void run(std::string_view reason, bool is_first, bool unwinds) noexcept;

  /// Reports that a step takes too long, removes the pidfile and ends the process with exit code 1.
  [[noreturn]] void give_up() noexcept;

  /// Whether the library's thread was left running, in an action of the user's.
  bool left_thread() const noexcept { return left_thread_; }

 private:
  void begin(std::string_view reason, bool unwinds) noexcept;
  void watch_cleanups(bool unwinds) noexcept;
  void run_cleanups() noexcept;
  void report(const std::string& text) noexcept;

  Parts parts_;
  std::unique_ptr<CleanupTimeout> timeout_;
  std::atomic<bool> gives_up_ = false;
  bool left_thread_ = false;
};

}  // namespace daemonctx
