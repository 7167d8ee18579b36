// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "context/plan.hpp"
#include "context/resources.hpp"
#include "daemonctx/signal_map.hpp"
#include "upgrade/program.hpp"
#include "upgrade/successor.hpp"
#include "upgrade/upgrade_notice.hpp"

namespace daemonctx {

/// The upgrades of a service that has no monitor; a monitor does its own. Each runs on a thread of its own,
/// and one at a time.
class Upgrade {
 public:
  struct Hooks {
    std::function<bool()> is_ready;
    std::function<void()> request_stop;
    std::function<void(const std::string& text)> report;
    std::function<int()> claim_again;       ///< takes the pidfile back; 0 or an errno
    std::function<void()> show_again;       ///< shows what it showed before
    std::function<int()> mark_ready_again;  ///< 0 or an errno
  };

  Upgrade(const Plan& plan, Resources& resources, Hooks hooks)
      : plan_(plan), resources_(resources), hooks_(std::move(hooks)) {}
  ~Upgrade() { end(); }
  Upgrade(const Upgrade&) = delete;
  Upgrade& operator=(const Upgrade&) = delete;

  OwnProgram& own_program() noexcept { return own_; }

  /// Shows others that this service can be upgraded. A successor goes on counting, and shows its upgrade as
  /// running until `finish`: until the predecessor was told it may take the pidfile back.
  void offer(const std::optional<HandOver>& record) noexcept;
  void finish() noexcept;

  /// Begins an upgrade, or refuses it. Does nothing while one is under way.
  void request(const SignalInfo& signal) noexcept;

  /// Ends an upgrade under way: the successor is ended, unless it is the service already.
  void end() noexcept;

  bool is_offered() const noexcept { return own_.is_wanted; }

  /// Whether the stop is for an upgrade.
  bool has_successor() const noexcept { return resources_.is_replaced; }

 private:
  void start(const SignalInfo& signal);
  void join() noexcept;
  std::string obstacle() const;
  HandOver record() const;
  void run(const Program& program) noexcept;
  std::string replace(Successor& successor);
  std::string switch_to(Successor& successor);
  int take_pidfile_back();
  void drain(Successor& successor);
  void refuse(std::string reason) noexcept;
  void show() noexcept;

  const Plan& plan_;
  Resources& resources_;
  Hooks hooks_;
  OwnProgram own_;
  UpgradeNotice notice_;
  std::atomic<bool> runs_ = false;
  std::atomic<bool> is_decided_ = false;  // the upgrade's thread shows a refusal, and then ends
  std::atomic<bool> has_ended_ = false;
  std::mutex mutex_;  // of `thread_`, and of `notice_` in `request` and `finish`
  std::thread thread_;
};

}  // namespace daemonctx
