// SPDX-License-Identifier: BSL-1.0

// The end of a start that has failed.

#include <algorithm>
#include <posix/syscalls.hpp>
#include <set>

#include "base/deadline.hpp"
#include "base/graces.hpp"
#include "launch/await_daemon.hpp"
#include "posix/pidfd.hpp"
#include "posix/proc_fs.hpp"
#include "posix/retry.hpp"
#include "posix/signal_child.hpp"

namespace daemonctx {
namespace {

using posix::Clock;
using std::chrono::milliseconds;

// How often this process looks for new children: a process becomes its child when the parents have ended.
constexpr milliseconds end_slice{10};

// Waits for the end of a child. SIGCHLD is blocked, as all signals are.
void await_child(Clock::time_point deadline) noexcept {
  sigset_t child_ended;
  sigemptyset(&child_ended);
  sigaddset(&child_ended, SIGCHLD);
  const timespec left = posix::time_left(deadline);
  posix::sigtimedwait(&child_ended, nullptr, &left);
}

bool contains(const std::vector<pid_t>& pids, pid_t pid) {
  return std::find(pids.begin(), pids.end(), pid) != pids.end();
}

// Adds the processes below `daemon`. A pid is looked at again once its pidfd is open: before that, another
// process may have got the pid. Without a pidfd a process is not killed, but named. A tree that grows without
// end is followed for a while only.
void append_descendants(pid_t daemon, std::vector<Descendant>& to) {
  const auto deadline = posix::deadline_in(graces::descendants);
  std::set<pid_t> known;
  for (const Descendant& each : to) known.insert(each.pid);
  std::vector<pid_t> parents = {daemon};
  for (std::size_t at = 0; at < parents.size() && Clock::now() < deadline; ++at) {
    const pid_t parent = parents[at];
    for (const pid_t pid : posix::children_of(parent)) {
      parents.push_back(pid);
      if (!known.insert(pid).second) continue;
      UniqueFd process = posix::open_pidfd(pid);
      if (contains(posix::children_of(parent), pid)) to.push_back({pid, std::move(process)});
    }
  }
}

bool lives(const Descendant& process) noexcept {
  if (process.process) return posix::send_signal(process.process, 0) != ESRCH;
  return posix::kill(process.pid, 0) == 0 || errno != ESRCH;
}

void kill(const Descendant& process) noexcept {
  if (process.process && posix::send_signal(process.process, SIGKILL) == EPERM)
    posix::signal_child(process.pid, SIGKILL);
}

// Without a pidfd only the pid of a child is sure to name the same process.
void kill_own_children(const std::vector<Descendant>& known) noexcept {
  std::vector<pid_t> children;
  for (const Descendant& each : known) {
    if (each.process) continue;
    if (children.empty()) children = posix::children_of(posix::getpid());
    if (contains(children, each.pid)) posix::signal_child(each.pid, SIGKILL);
  }
}

// waitpid(2) without waiting. Notes the daemon's status.
pid_t reap(pid_t which, StartOutcome& outcome) noexcept {
  int status = 0;
  const pid_t ended = posix::retry([&] { return posix::waitpid(which, &status, WNOHANG | __WALL); });
  if (ended > 0 && ended == outcome.daemon) outcome.status = status;
  return ended;
}

}  // namespace

void StartInProgress::take_down(StartOutcome& outcome) {
  std::vector<Descendant> below;
  if (!is_alone_ && daemon_ != 0) append_descendants(daemon_, below);
  if (!outcome.gone) {
    posix::kill(-group_, SIGTERM);
    if (daemon_ != 0) posix::signal_child(daemon_, SIGTERM);  // it may have left the group
  }
  if (daemon_ != 0) await_end(outcome.gone ? graces::end_of_file : graces::termination);
  posix::kill(-group_, SIGKILL);
  outcome.left = is_alone_ ? kill_all(outcome) : kill_descendants(outcome, std::move(below));
}

// Returns the processes that still live.
std::vector<pid_t> StartInProgress::kill_all(StartOutcome& outcome) const {
  const auto deadline = posix::deadline_in(graces::kill);
  if (daemon_ != 0 && reap(daemon_, outcome) == 0)
    posix::signal_child(daemon_, SIGKILL);  // without /proc too
  for (;;) {
    for (const pid_t pid : posix::children_of(posix::getpid())) posix::signal_child(pid, SIGKILL);
    pid_t ended = 0;
    while ((ended = reap(-1, outcome)) > 0) continue;
    if (ended == -1) return {};
    if (Clock::now() >= deadline) break;
    await_child(std::min(deadline, posix::deadline_in(end_slice)));
  }
  std::vector<pid_t> left = posix::children_of(posix::getpid());
  if (left.empty()) left.push_back(daemon_ != 0 ? daemon_ : -group_);  // /proc does not tell
  return left;
}

std::vector<pid_t> StartInProgress::kill_descendants(StartOutcome& outcome,
                                                     std::vector<Descendant> known) const {
  if (daemon_ != 0 && reap(daemon_, outcome) == 0) {
    append_descendants(daemon_, known);
    posix::signal_child(daemon_, SIGKILL);
  }
  for (const Descendant& each : known) kill(each);
  const auto deadline = posix::deadline_in(graces::kill);
  for (;;) {
    kill_own_children(known);
    std::vector<pid_t> living = reap_known(known, outcome);
    if (living.empty() || Clock::now() >= deadline) return living;
    await_child(std::min(deadline, posix::deadline_in(end_slice)));
  }
}

// Reaps the daemon first: its children then become children of this process. Returns the processes that still
// live.
std::vector<pid_t> StartInProgress::reap_known(const std::vector<Descendant>& known,
                                               StartOutcome& outcome) const {
  std::vector<pid_t> living;
  for (const pid_t pid : {daemon_, group_}) {
    if (pid != 0 && reap(pid, outcome) == 0) living.push_back(pid);
  }
  for (const Descendant& each : known) {
    reap(each.pid, outcome);
    if (lives(each)) living.push_back(each.pid);
  }
  pid_t member = 0;
  while ((member = reap(-group_, outcome)) > 0) continue;
  if (member == 0) living.push_back(-group_);
  return living;
}

void StartInProgress::await_end(milliseconds grace) const noexcept {
  const auto deadline = posix::deadline_in(grace);
  for (;;) {
    siginfo_t info{};
    const int found = posix::waitid(P_PID, static_cast<id_t>(daemon_), &info, WEXITED | WNOHANG | WNOWAIT);
    if (found == -1 || info.si_pid == daemon_ || Clock::now() >= deadline) return;
    await_child(deadline);
  }
}

}  // namespace daemonctx
