// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "context/readiness.hpp"
#include "context/resources.hpp"
#include "pidfile/reload_status.hpp"

namespace daemonctx {

/// The service's reload: its function, whether one is under way, and the notice that others see of it.
/// Thread-safe.
class ReloadState {
 public:
  using Report = std::function<void(const std::exception_ptr&)>;

  /// \param report is called with the exception that a reload throws.
  ReloadState(ReadinessState& readiness, Resources& resources, Report report)
      : readiness_(readiness),
        resources_(resources),
        notice_(resources.reload_notice),
        report_(std::move(report)) {}

  /// `offer` sets the function that a reload calls. `show_offer` lets others see that the daemon can reload,
  /// and returns 0, or the errno with which a worker fails to tell its monitor.
  void offer(std::function<void()> reload);
  int show_offer() noexcept;
  bool is_offered() noexcept;

  /// Reloads; does nothing before `offer`. One reload runs at a time. A call meanwhile, in another thread or
  /// in a reload that dispatches signals, returns at once; one more reload then follows.
  void run();

 private:
  using Function = std::shared_ptr<const std::function<void()>>;  // kept alive while it runs

  bool begin();
  bool run_once();
  void call(const Function& reload, bool tells_manager);
  bool finish(bool is_refused, std::string text, bool may_repeat = true) noexcept;
  int show(int (*show)(int, const ReloadNotice&) noexcept) noexcept;

  ReadinessState& readiness_;
  Resources& resources_;
  ReloadNotice& notice_;
  Report report_;
  std::mutex mutex_;
  Function reload_;
  bool runs_again_ = false;  // a reload was asked for while one was under way
};

}  // namespace daemonctx
