// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <signal.h>

#include <atomic>
#include <chrono>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string_view>
#include <thread>
#include <vector>

#include "daemonctx/signal_map.hpp"
#include "daemonctx/timeout.hpp"
#include "posix/futex.hpp"
#include "process/fork_handlers.hpp"

namespace daemonctx {

/// Carries the signals of a map from the handler to their actions.
///
/// The handler only notes what arrived. Actions run in `wait_until`, in `dispatch`, or on a thread of the
/// dispatcher's own. One dispatcher at a time: the handler's notes are process-wide.
///
/// Thread-safety: `wait_until`, `dispatch`, `request_stop`, `stop_requested`, `stop_token` are thread-safe.
class SignalDispatcher {
 public:
  /// What the dispatcher calls for actions it does not know itself. `report` gets what an action threw.
  struct Hooks {
    std::function<void()> reload;
    std::function<void()> reopen_output;
    std::function<void(std::exception_ptr, std::string_view)> report;
  };

  SignalDispatcher(const SignalMap& map, Hooks hooks);
  ~SignalDispatcher() { uninstall(); }
  SignalDispatcher(const SignalDispatcher&) = delete;
  SignalDispatcher& operator=(const SignalDispatcher&) = delete;

  /// Installs the handlers and lets the mapped signals through; when detached all signals. Otherwise the
  /// mask becomes what it was when this object was made, but for these.
  /// \return 0 or an errno. \note Runs in the daemon before it may allocate.
  int install(bool detached) noexcept;

  /// Adds or replaces one entry after `install`, also from within an action. Thread-safe.
  /// \throws std::system_error
  void map(int number, SignalAction action);

  /// Runs the actions on a thread of their own from now on. \throws std::system_error
  void start_thread();

  /// Has the thread end after the actions that it is about to run.
  /// \param longest how long to wait for that; not at all where the thread waits for the end of the process.
  /// \return false: it is left alone, and goes on.
  bool stop_thread(Timeout longest) noexcept;

  /// For a thread that waits for the end of the process: if it is this object's own, `stop_thread` does not
  /// wait for it.
  void note_thread_waits() noexcept;

  /// Puts dispositions and mask back as `install` found them. Further calls do nothing.
  /// \param process_ends a mapped signal that terminates nothing stays handled: it must not decide how the
  ///   process ends.
  void uninstall(bool process_ends = false) noexcept;

  /// In a child that is to be another process's worker: dispositions as `install` found them, and what was
  /// shared is closed; the mask is left alone.
  void leave_to_child() noexcept;

  /// Runs actions until a stop is requested or the deadline has passed; `time_point::max()` waits without
  /// limit. Signals that keep coming do not prolong it: only the actions of signals that came before are
  /// awaited.
  /// \return true: a stop is requested, or this is a forked child.
  bool wait_until(std::chrono::steady_clock::time_point deadline);

  /// Runs the actions of what has arrived. If more arrives meanwhile, `fd` is readable again.
  void dispatch();

  void request_stop() noexcept;

  /// Has every thread that waits return, and wait no more, since the context ends. No stop is requested.
  void end_waits() noexcept;

  static bool stop_requested() noexcept;
  std::stop_token stop_token() const noexcept { return stop_source_.get_token(); }

  /// -1 before `install`, in a forked child, and in a process that had no dispatcher yet. The descriptor
  /// outlives the dispatcher: a handler on another thread may still be about to write to it.
  static int fd() noexcept;

 private:
  using Entry =
      std::shared_ptr<const SignalAction>;  // lives as long as it runs, though it be replaced meanwhile

  enum ThreadState : std::uint32_t { runs, has_ended, waits_for_end };

  struct Installed {
    int number;
    struct sigaction former;
  };

  bool stays_handled_after_stop(int number) noexcept;
  bool is_terminating(int number) noexcept;
  int install_one(int number, const SignalAction& action) noexcept;
  Entry find(int number);
  bool wait_and_dispatch(std::chrono::steady_clock::time_point deadline);
  bool wait_for_stop(std::chrono::steady_clock::time_point deadline);
  void sleep_until(std::chrono::steady_clock::time_point deadline);
  bool run_pending();
  bool run_pending_stop();
  void run(int number);
  void act(StandardAction action);
  void deliver();
  void note_thread(ThreadState state) noexcept;
  process::ForkHook fork_hook() noexcept;
  void become_inert() noexcept;

  std::mutex map_mutex_;
  std::map<int, Entry> map_;
  Hooks hooks_;
  std::atomic<bool> installs_ = false;
  bool detached_ = false;
  bool has_thread_ = false;  // of its own
  std::stop_source stop_source_;
  std::vector<Installed> installed_;
  sigset_t mapped_;
  sigset_t former_mask_;
  std::atomic<int> waiting_ = 0;
  std::thread thread_;
  std::atomic<bool> quits_ = false;
  posix::FutexWord thread_state_ = runs;
  std::optional<process::ForkHookScope> forks_;  // from install to uninstall
};

}  // namespace daemonctx
