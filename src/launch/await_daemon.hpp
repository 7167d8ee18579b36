// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>

#include "daemonctx/error.hpp"
#include "daemonctx/timeout.hpp"
#include "launch/status_pipe.hpp"
#include "posix/progress_ticker.hpp"

namespace daemonctx {

/// How a start looks from the caller.
struct StartOutcome {
  enum class Kind { ready, failed, ended, timed_out, interrupted };

  Kind kind = Kind::ended;
  Step step = Step::become_ready;  ///< of `failed`
  int error = 0;                   ///< of `failed`
  std::string text = {};           ///< of `failed`, may be empty
  int signal = 0;                  ///< of `interrupted`
  bool gone = false;               ///< the end of file was seen: nobody is left to report anything
  pid_t daemon = 0;                ///< 0: there was none, or it is not known
  std::optional<int> status = {};  ///< how the daemon ended, as from waitpid(2), once `take_down` has seen it
};

/// The caller's side of a start under way.
class StartInProgress {
 public:
  StartInProgress(pid_t intermediate, StatusReader status) noexcept
      : group_(intermediate), status_(std::move(status)) {}

  /// Waits for readiness, or for the end of the attempt.
  /// \param timeout zero: none.
  /// \param mask the signals blocked while waiting. One of SIGINT, SIGTERM, SIGHUP and SIGQUIT that is
  ///   neither blocked nor ignored ends the wait; it is raised again, for when the caller unblocks its
  ///   signals.
  /// \param ticker told while that lasts.
  StartOutcome await(Timeout timeout, const sigset_t& mask, Ticker& ticker);

  /// Leaves no zombie behind for a process 1 that reaps none. After this `take_down` must not be called.
  void reap_intermediate() const noexcept;

  /// Ends whatever was started and is still there: SIGTERM, after a while SIGKILL, to the whole process
  /// group. On return no process of it is left. Completes `outcome`.
  void take_down(StartOutcome& outcome) noexcept;

 private:
  void await_intermediate() const noexcept;
  void await_end(pid_t daemon, std::chrono::milliseconds grace) const noexcept;

  pid_t group_;  // the intermediate leads it; left unreaped, so that the number can't become another's
  StatusReader status_;
};

/// Reads what was reported by a process that has ended, without waiting.
void read_what_is_left(const StatusReader& status, StartOutcome& outcome);

/// What the caller throws for it, after `take_down`.
DaemonError to_error(const StartOutcome& outcome, const std::string& subject, Timeout timeout);

}  // namespace daemonctx
