// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <signal.h>

#include <array>
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
/// The handler only notes the signal. Actions run in `wait_until`, in `dispatch`, or on the dispatcher's own
/// thread. A process has one dispatcher at a time, because the handler's notes are process-wide.
///
/// Thread-safety: `map`, `wait_until`, `dispatch`, `request_stop`, `stop_requested`, `stop_token` are
/// thread-safe.
class SignalDispatcher {
 public:
  struct Sleep {
    std::chrono::steady_clock::time_point longest = std::chrono::steady_clock::time_point::max();
    std::array<int, 2> watched = {-1, -1};  ///< an error or a hang-up of a descriptor ends the sleep
  };

  /// The signals that have a handler or another disposition of this object.
  const sigset_t& handled() const noexcept { return mapped_; }

  /// The functions for actions that the dispatcher does not know. `report` gets what an action threw.
  /// `before_sleep` is called before each sleep of the threads that run actions, and limits it. `released` is
  /// called once, with the bits of the held signals that are dropped (`note`). `hang_up` replaces the stop
  /// when the terminal hangs up.
  struct Hooks {
    std::function<void()> reload;
    std::function<void()> reopen_output;
    std::function<void(std::exception_ptr, std::string_view)> report;
    std::function<Sleep()> before_sleep = {};
    std::function<void(std::uint64_t dropped)> released = {};
    std::function<void()> hang_up = {};
    std::function<void(const SignalInfo&)> upgrade = {};
  };

  /// What ends the holding of signals, when both have happened.
  enum Progress : unsigned { service_is_ready = 1, service_waits = 2 };

  SignalDispatcher(const SignalMap& map, Hooks hooks);
  ~SignalDispatcher() { uninstall(); }
  SignalDispatcher(const SignalDispatcher&) = delete;
  SignalDispatcher& operator=(const SignalDispatcher&) = delete;

  /// Installs the handlers and unblocks the mapped signals. If `detached`, unblocks all other signals too;
  /// otherwise the mask of the others is that of this object's construction. An unmapped SIGHUP, SIGUSR1 or
  /// SIGUSR2 is held if it would end the process: it stays pending until `map` or `note`.
  /// \return 0 or an errno. \note Runs in the daemon before it may allocate.
  int install(bool detached) noexcept;

  /// Adds or replaces one entry after `install`, also from within an action. Thread-safe.
  /// \throws std::system_error
  void map(int number, SignalAction action);

  /// Ends the holding of signals after both kinds of progress. A held signal that has not been mapped gets
  /// its default action. Thread-safe; costs a memory read after the first call.
  void note(Progress progress);

  /// Whether the process ends with its terminal: it is not detached, has a terminal, and did not inherit
  /// SIGHUP ignored, as from nohup(1).
  bool ends_with_terminal() const noexcept { return ends_with_terminal_; }

  /// Whether this signal is the hang-up of the terminal that the process ends with. The kernel sends it, or
  /// the shell, which is told first.
  bool is_hang_up(const SignalInfo& info) const noexcept;

  /// Starts a thread, which runs all actions from now on. \throws std::system_error
  void start_thread();

  /// Makes the thread end after the actions that it is about to run.
  /// \param longest how long to wait for the thread. A thread that waits for the end of the process is not
  ///   waited for.
  /// \return false: the thread is detached and goes on.
  bool stop_thread(Timeout longest) noexcept;

  /// Called by a thread that waits for the end of the process. If it is the dispatcher's own thread,
  /// `stop_thread` does not wait for it.
  void note_thread_waits() noexcept;

  /// Restores the dispositions that `install` found, and the mask of this object's construction. A detached
  /// daemon gets an empty mask, and keeps the handlers of `terminate` and `reload` after a stop request.
  /// Further calls do nothing.
  /// \param process_ends true: a signal whose action is not `terminate` stays handled, so that it cannot
  ///   decide how the process ends.
  void uninstall(bool process_ends = false) noexcept;

  /// Called in a child that becomes its parent's worker. Restores the dispositions that `install` found and
  /// closes the shared descriptor. The mask stays.
  void leave_to_child() noexcept;

  /// Runs actions until a stop is requested or the deadline has passed; `time_point::max()` waits without
  /// limit. Signals that keep coming do not prolong the wait: only actions of earlier signals are awaited.
  /// \return true: a stop is requested, the context ends, or this is a forked child.
  bool wait_until(std::chrono::steady_clock::time_point deadline);

  /// Runs the actions of the signals that arrived. If more arrive meanwhile, `fd` is readable again.
  void dispatch();

  void request_stop() noexcept;

  /// Wakes a thread that runs actions, so that it calls `before_sleep`. Thread-safe.
  static void wake() noexcept;

  /// Ends all present and future waits, because the context ends. Requests no stop.
  void end_waits() noexcept;

  static bool stop_requested() noexcept;
  std::stop_token stop_token() const noexcept { return stop_source_.get_token(); }

  /// The descriptor to poll for signals. -1 in a forked child, and before the first `install` in a process.
  /// The descriptor outlives the dispatcher: a handler on another thread may be about to write to it.
  static int fd() noexcept;

 private:
  using Entry = std::shared_ptr<const SignalAction>;  // a running action outlives its replacement

  enum ThreadState : std::uint32_t { runs, has_ended, waits_for_end };

  struct Installed {
    int number;
    struct sigaction former;
  };

  bool stays_handled_after_stop(int number) noexcept;
  bool is_terminating(int number) noexcept;
  int install_one(int number, const SignalAction& action) noexcept;
  int install_handler(int number, const SignalAction& action) noexcept;
  bool is_mapped(int number) const noexcept { return sigismember(&mapped_, number) == 1; }
  int hold_unmapped() noexcept;
  void release();
  std::uint64_t stop_holding();
  void hang_up();
  void forget(int number) noexcept;
  Entry find(int number);
  bool wait_and_dispatch(std::chrono::steady_clock::time_point deadline);
  bool wait_for_stop(std::chrono::steady_clock::time_point deadline);
  Sleep next_sleep();
  void sleep(const Sleep& sleep);
  bool run_pending();
  bool run_pending_stop();
  void run(int number);
  void act(Action action, int number);
  void deliver();
  void note_thread(ThreadState state) noexcept;
  process::ForkHook fork_hook() noexcept;
  void become_inert() noexcept;

  std::mutex map_mutex_;
  std::map<int, Entry> map_;
  Hooks hooks_;
  std::atomic<bool> installs_ = false;
  bool detached_ = false;
  bool ends_with_terminal_ = false;
  std::atomic<unsigned> progress_ = 0;
  bool has_thread_ = false;  // actions run on `thread_`
  std::stop_source stop_source_;
  std::vector<Installed> installed_;
  sigset_t mapped_;
  sigset_t former_mask_;
  std::atomic<int> waiting_ = 0;
  std::thread thread_;
  std::atomic<bool> quits_ = false;
  posix::FutexWord thread_state_ = runs;
  std::optional<process::ForkHookScope> forks_;  // set from `install` to `uninstall`
};

}  // namespace daemonctx
