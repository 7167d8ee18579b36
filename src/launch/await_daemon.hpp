// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "daemonctx/error.hpp"
#include "daemonctx/timeout.hpp"
#include "launch/status_pipe.hpp"
#include "posix/progress_ticker.hpp"
#include "posix/unique_fd.hpp"

namespace daemonctx {

/// The outcome of a start, as the caller sees it.
struct StartOutcome {
  enum class Kind { ready, failed, ended, timed_out, interrupted };

  Kind kind = Kind::ended;
  Step step = Step::become_ready;  ///< of `failed`
  int error = 0;                   ///< of `failed`
  std::string text = {};           ///< of `failed`, may be empty
  int signal = 0;                  ///< of `interrupted`
  bool gone = false;               ///< no further record will come: end of file, or the daemon has ended
  pid_t daemon = 0;                ///< 0: there was no daemon, or its pid is not known
  std::optional<int> status = {};  ///< of the daemon, as from waitpid(2), once `take_down` has seen its end
  std::vector<pid_t> left = {};    ///< processes that `take_down` could not end; -N is the process group N
};

/// A process below the daemon.
struct Descendant {
  pid_t pid = 0;
  UniqueFd process;
};

/// The caller's side of a start under way.
class StartInProgress {
 public:
  /// \param daemon 0 if the intermediate has started none.
  /// \param is_alone whether every child of this process comes from this start.
  StartInProgress(pid_t intermediate, pid_t daemon, bool is_alone, StatusReader status) noexcept
      : group_(intermediate), daemon_(daemon), is_alone_(is_alone), status_(std::move(status)) {}

  /// Waits for readiness, or for the end of the attempt.
  /// \param timeout `forever`: no limit.
  /// \param mask the signals blocked while waiting. SIGINT, SIGTERM, SIGHUP and SIGQUIT end the wait, unless
  ///   blocked or ignored. The signal is raised again, and acts once the caller unblocks its signals.
  /// \param ticker ticks during the wait.
  StartOutcome await(Timeout timeout, const sigset_t& mask, Ticker& ticker);

  /// Reaps the intermediate, since not every process 1 reaps zombies. Do not call `take_down` afterwards.
  void reap_intermediate() const noexcept;

  /// Ends every started process that still lives: sends SIGTERM, and after a while SIGKILL. It also finds
  /// processes that have left the process group, through their parents. If every child of this process comes
  /// from this start, none is left. Otherwise a process whose parents have ended may be left. Completes
  /// `outcome`.
  void take_down(StartOutcome& outcome);

 private:
  void await_intermediate() const noexcept;
  void await_end(std::chrono::milliseconds grace) const noexcept;
  std::vector<pid_t> kill_all(StartOutcome& outcome) const;
  std::vector<pid_t> reap_known(const std::vector<Descendant>& known, StartOutcome& outcome) const;
  std::vector<pid_t> kill_descendants(StartOutcome& outcome, std::vector<Descendant> known) const;

  pid_t group_;  // led by the intermediate, which stays unreaped so that its pid can't be reused
  pid_t daemon_;
  bool is_alone_;
  StatusReader status_;
};

/// Reads the last reports of a process that has ended, without waiting.
void read_what_is_left(StatusReader& status, StartOutcome& outcome);

/// The error that the caller throws for `outcome`, after `take_down`.
DaemonError to_error(const StartOutcome& outcome, const std::string& subject, Timeout timeout);

}  // namespace daemonctx
