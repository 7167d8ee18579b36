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

/// The service's reload: which function it is, whether one is under way, and what others are told of it.
/// Thread-safe.
class ReloadState {
 public:
  using Report = std::function<void(const std::exception_ptr&)>;

  /// \param report gets what a reload throws.
  ReloadState(ReadinessState& readiness, Resources& resources, Report report)
      : readiness_(readiness),
        resources_(resources),
        notice_(resources.reload_notice),
        report_(std::move(report)) {}

  /// From now on this function is called, and others see that the daemon can be asked to reload.
  void offer(std::function<void()> reload);
  void show_offer() noexcept;

  /// Runs it. One thread at a time: whoever asks meanwhile, in another thread or in a reload that dispatches
  /// signals itself, does not wait, and the one under way is followed by another.
  void run();

 private:
  using Function = std::shared_ptr<const std::function<void()>>;  // lives as long as it runs

  bool begin();
  bool begin_again();
  void run_once();
  void call(const Function& reload, bool tells_manager);
  void finish(bool is_refused, std::string text) noexcept;
  void show(int (*show)(int, const ReloadNotice&) noexcept) noexcept;

  ReadinessState& readiness_;
  Resources& resources_;
  ReloadNotice& notice_;
  Report report_;
  std::mutex mutex_;
  Function reload_;
  bool runs_again_ = false;  // asked for while one was under way
};

}  // namespace daemonctx
