// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <deque>
#include <memory>
#include <optional>

#include "base/hang_watch.hpp"
#include "launch/await_daemon.hpp"
#include "process/private_fd.hpp"
#include "supervise/crash_handler.hpp"
#include "supervise/crash_lines.hpp"
#include "supervise/monitor_resources.hpp"
#include "supervise/replacement.hpp"
#include "supervise/restart_policy.hpp"
#include "supervise/signal_relay.hpp"
#include "supervise/worker_protocol.hpp"
#include "upgrade/upgrade_notice.hpp"

namespace daemonctx {

/// The process between the caller and the worker. The monitor keeps the pidfile and starts workers, one after
/// the other, as the policy says. It has one thread, which sleeps unless something happens.
class Monitor {
 public:
  /// \pre In the thread and with the signal mask that the program had.
  explicit Monitor(MonitorResources resources);

  /// Returns nothing in each worker. Returns in the monitor only if this is no detached daemon and the first
  /// worker ended before it was ready; the result says how. Otherwise the monitor ends here.
  /// \param reports where the first worker reports to; nullptr if another process reads the reports.
  /// \throws std::system_error if the first worker can't be started.
  std::optional<StartOutcome> supervise(StatusReader* reports);

 private:
  using Clock = posix::Clock;

  // A worker's life.
  bool start_worker();
  bool fork_worker(WorkerConnection& connection);
  void become_worker(UniqueFd connection) noexcept;
  WorkerEnd await_worker();
  std::optional<WorkerEnd> reap();
  void wait_until(Clock::time_point deadline);
  Clock::time_point next_deadline();
  bool may_hang() const noexcept;
  void enforce_deadlines();
  void abort_hung_worker();
  void kill_worker();
  Clock::time_point start_deadline() const noexcept;
  bool waits_for_log() const noexcept;
  void finish_lines(pid_t author, std::chrono::milliseconds patience);

  // Between two workers.
  void note_end(const WorkerEnd& end);
  void explain(const WorkerEnd& end);
  void report_crash_lines(const std::vector<std::string>& lines) const noexcept;
  bool pause(Timeout delay);
  void call_on_worker_end(const WorkerEnd& end) noexcept;
  std::optional<StartOutcome> give_up_start(const WorkerEnd& end, StatusReader* reports);
  [[noreturn]] void exit_with(int status) noexcept;

  // Upgrades (monitor_upgrade.cpp, monitor_takeover.cpp).
  void request_upgrade(const SignalInfo& signal);
  std::string begin_upgrade(const SignalInfo& signal);
  HandOver record_for_worker(const UniqueFd& connection, const UniqueFd& lifeline,
                             const UniqueFd& notes) const;
  void attend_upgrade();
  void hear_replacement();
  void handle_of_replacement(WorkerMessage message);
  bool is_at_rest() const noexcept;
  void execute_new_program();
  HandOver record_for_program(std::vector<UniqueFd>& made);
  void hand_pumps_on(HandOver& record, std::vector<UniqueFd>& made) const;
  void refuse_upgrade(const std::string& reason) noexcept;
  void show_upgrade() noexcept;
  bool take_over();
  void be_monitor_of(const HandedWorker& worker);
  bool wants_stacks() const noexcept { return policy_.crash_report.get() != nullptr; }
  void use_notes(SharedNotes notes) noexcept;
  void let_go(LeavingWorker worker);
  void attend_leaving();
  void await_leaving();
  void append_upgrade_events(std::vector<pollfd>& to) const;
  Clock::time_point upgrade_deadline() const noexcept;

  // Messages from the worker, reports to others.
  void receive_messages();
  void note_sign_of_life();
  void handle(WorkerMessage message);
  void become_ready();
  void fail_start(Step step, int error, const std::string& reason = {});
  void forward(WorkerMessage message);
  void forward_rest();
  void reopen_output(UniqueFd asker) noexcept;
  void remember(Memory which, UniqueFd asker) noexcept;
  void open_for_worker(std::size_t place, UniqueFd asker) noexcept;
  void show_reload(ReloadNotice notice) noexcept;
  void end_reload();
  void show() noexcept;
  void report(const std::string& text) const noexcept;
  void request_stop();
  void refuse_signal(int number, int error);
  void report_dropped(std::uint64_t signals) const noexcept;

  MonitorResources resources_;
  const RespawnPolicy& policy_;
  Backoff backoff_;
  SignalRelay signals_;
  SharedNotes notes_;  // empty: no upgrades are offered
  process::CrashNote* crash_note_;
  process::ThreadNotes* thread_notes_;  // nullptr: no stacks are wanted
  std::vector<CrashedThread> asked_;    // threads of the worker that hangs
  CrashLines crash_lines_;              // of an earlier worker

  pid_t worker_ = 0;
  int wait_status_ = 0;
  process::PrivateFd connection_;
  process::PrivateFd lifeline_;          // closing it kills the worker
  std::chrono::milliseconds started_{};  ///< of the worker, since boot
  bool ready_ = false;
  bool hung_ = false;
  bool unreachable_ = false;            // can't be told to stop
  bool missed_ready_deadline_ = false;  // not ready in time
  bool worker_is_stopping_ = false;     // without a request of the monitor
  bool offers_reload_ = false;
  std::deque<WorkerMessage> unforwarded_;  // to the service manager, which has no room
  bool drops_ = false;                     // the newest of them
  HangWatch silence_;                      ///< of the worker
  Clock::time_point shown_sign_at_ = Clock::time_point::min();
  Clock::time_point kill_at_ = Clock::time_point::max();

  unsigned last_number_ = 0;  // of a worker
  UpgradeNotice upgrade_notice_;
  std::unique_ptr<Replacement> replacement_;
  std::vector<LeavingWorker> leaving_;

  bool was_ever_ready_ = false;
  bool stopping_ = false;
};

}  // namespace daemonctx
