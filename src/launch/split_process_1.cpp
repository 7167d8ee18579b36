// SPDX-License-Identifier: BSL-1.0
#include "launch/split_process_1.hpp"

#include <optional>
#include <posix/syscalls.hpp>

#include "daemonctx/error.hpp"
#include "posix/close_fds.hpp"
#include "posix/flush_streams.hpp"
#include "posix/retry.hpp"
#include "posix/signal_child.hpp"
#include "posix/signals.hpp"
#include "process/fork_handlers.hpp"

namespace daemonctx {
namespace {

constexpr int killed_by = 128;  // plus the signal, as in shells

// A reader that waits for the end of the service's pipe or connection must not wait for this process.
void close_all() noexcept {
  static_cast<void>(posix::close_fds_except({}));
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) posix::close(fd);
}

// The exit code for process 1, once the service has ended.
std::optional<int> reap(pid_t service) noexcept {
  std::optional<int> result;
  int status = 0;
  pid_t ended = 0;
  while ((ended = posix::retry([&] { return posix::waitpid(-1, &status, WNOHANG); })) > 0) {
    if (ended == service) result = WIFEXITED(status) ? WEXITSTATUS(status) : killed_by + WTERMSIG(status);
  }
  return result;
}

void hand_on(const siginfo_t& signal, pid_t service) noexcept {
  const bool from_process = signal.si_code <= 0;
  if (!from_process) return;
  const int value = signal.si_code == SI_QUEUE ? signal.si_value.sival_int : 0;
  posix::signal_child(service, signal.si_signo, value);
}

[[noreturn]] void be_process_1(pid_t service) noexcept {
  posix::reset_all_dispositions();  // with SIGCHLD ignored, children leave no status
  close_all();
  sigset_t all;
  sigfillset(&all);
  // Reap before the first signal: setting a disposition may drop a pending SIGCHLD (POSIX, sigaction).
  siginfo_t signal{};
  for (signal.si_signo = SIGCHLD;; posix::retry([&] { return posix::sigwaitinfo(&all, &signal); })) {
    if (signal.si_signo != SIGCHLD) hand_on(signal, service);
    else if (const auto status = reap(service)) posix::_exit(*status);
  }
}

}  // namespace

void leave_process_1() {
  flush_streams();
  const posix::SignalBlock blocked;
  const process::OwnFork own;
  const pid_t service = posix::fork();
  if (service == -1) throw DaemonError(Step::start_daemon, posix::last_error());
  if (service > 0) be_process_1(service);
}

}  // namespace daemonctx
