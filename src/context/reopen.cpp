// SPDX-License-Identifier: BSL-1.0
#include "context/reopen.hpp"

#include <posix/syscalls.hpp>

#include "base/deadline.hpp"
#include "posix/flush_streams.hpp"
#include "posix/retry.hpp"
#include "supervise/worker_protocol.hpp"

namespace daemonctx {
namespace {

// Opening and closing the daemon's own pidfile would drop its locks.
void check_is_not_pidfile(const StdioTarget& target) {
  if (target.kind() != StdioTarget::Kind::file || Pidfile::own(target.path()) == Pidfile::Own::no) return;
  throw DaemonError(Step::open_stdio, std::make_error_code(std::errc::invalid_argument),
                    target.path().native());
}

void redirect(const UniqueFd& fd, int stream) {
  if (!fd || posix::dup2(fd.get(), stream) != -1) return;
  throw DaemonError(Step::redirect_stdio, posix::last_error());
}

}  // namespace

void OutputReopening::run() {
  const posix::Turn::Scope turn(reopening_);
  if (turn.is_nested() || !readiness_.is_ready()) return;
  flush_streams();
  check_is_not_pidfile(plan_.options.stdio.out);
  check_is_not_pidfile(plan_.options.stdio.err);
  if (resources_.worker.is_worker()) return ask_monitor();
  resources_.redirection.reopen(plan_.options.stdio, resources_.pidfile.fd());
}

void OutputReopening::before_reload() {
  const Stdio& stdio = plan_.options.stdio;
  const auto& redirection = resources_.redirection;
  if (redirection.reopens(stdio, STDOUT_FILENO) || redirection.reopens(stdio, STDERR_FILENO)) run();
}

// One thread is enough, where several wait.
std::chrono::steady_clock::time_point OutputReopening::repair() noexcept {
  const std::unique_lock lock(repairing_, std::try_to_lock);
  if (!lock || !readiness_.is_ready()) return posix::Clock::time_point::max();
  return resources_.output_repair.repair(plan_.options.stdio, plan_.options.restrictions.empty());
}

std::array<int, 2> OutputReopening::watched() const noexcept {
  const std::lock_guard lock(repairing_);
  return resources_.output_repair.watched();
}

void OutputReopening::ask_monitor() {
  WorkerConnection connection = connect_for_answer();
  if (const int error = resources_.manager.send(reopen_message, connection.monitor.get()))
    throw DaemonError(Step::open_stdio, {error, std::generic_category()}, {},
                      "cannot tell the monitor: " + std::generic_category().message(error));
  connection.monitor.reset();
  const ReopenAnswer answer = await_reopen(connection.worker);
  if (!answer.refusal.empty()) {
    throw DaemonError(Step::open_stdio, std::make_error_code(std::errc::io_error), {}, answer.refusal);
  }
  redirect(answer.out, STDOUT_FILENO);
  redirect(answer.err, STDERR_FILENO);
}

}  // namespace daemonctx
