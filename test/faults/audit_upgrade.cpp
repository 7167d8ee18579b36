// SPDX-License-Identifier: BSL-1.0

// The promises of an upgrade: one service in the end, and the command says which.

#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>

#include "auditor.hpp"
#include "sandbox_paths.hpp"

namespace faults {
namespace {

constexpr std::chrono::seconds settling{3};

}  // namespace

pid_t Auditor::predecessor() const { return sandbox_.authors("serves").front(); }

// A thread of the old version forks an intermediate, and that the new version.
std::string Auditor::successor() const { return sandbox_.tracer().name_of(predecessor()) + ".t1.1.1"; }

// The process itself, or one of its threads.
bool Auditor::hit_process(const std::string& name) const {
  if (!point_ || point_->process.rfind(name, 0) != 0) return false;
  const std::string rest = point_->process.substr(name.size());
  return rest.empty() || (rest.rfind(".t", 0) == 0 && rest.find('.', 1) == std::string::npos);
}

// A signal that ends the old version ends the service, unless SIGKILL leaves a new one that takes over. The
// new version is the service as soon as the pidfile names it. Between SIGTERM and its end it may become that.
bool Auditor::may_end_service(const Result& result) const {
  if (!ended_by_fault()) return false;
  if (hit_process(sandbox_.tracer().name_of(predecessor()))) return true;
  const pid_t named = std::atoi(pidfile_at_fault_.c_str());
  const bool has_become_service = named != predecessor() || (hit(Kind::terminate) && result.exited(0));
  return hit_process(successor()) && has_become_service;
}

// A version that has begun an upgrade keeps the eventfd by which a stop ends it. A version that should
// be bad, but did not find its configuration, keeps its end of the channel to the old one.
std::string Auditor::kept_by_upgrade() const {
  if (serving() == predecessor()) return "anon_inode:";
  return hit(Kind::error) && point_->fault.error == ENOENT ? "socket:" : "";
}

// A process that gets no lock any more can't show what became of the upgrade.
bool Auditor::gets_no_lock() const {
  return may_keep_back() && point_->fault.for_ever && sandbox_.tracer().hit_call() == SYS_fcntl;
}

bool Auditor::killed_predecessor() const {
  return hit(Kind::kill) && hit_process(sandbox_.tracer().name_of(predecessor()));
}

void Auditor::expect_refusal(const Result& result, const std::string& refusal) {
  // Nobody watches over the probation of a version that takes over from one that was killed.
  expect(!result.exited(0) || killed_predecessor(), "a bad version is accepted");
  const bool has_reason = result.output.find(refusal) != std::string::npos;
  const bool may_miss_reason =
      !is_harmless() || hit_writing(result) || (hit_process(successor()) && writes());
  expect(has_reason || may_miss_reason, "the upgrade is refused for another reason: " + text_of(result));
}

// Its configuration makes a version bad. To a process that can't find that file, all settings have defaults.
void Auditor::upgrade(const Result& result, const std::string& refusal) {
  const bool is_bad = !refusal.empty() && sandbox_.count("number 0 ") <= 1;
  if (refusal.empty()) expect_success_if_harmless(result, "the upgrade");
  if (!result.exited(0)) expect_one_line(result, "the upgrade");
  if (is_bad) expect_refusal(result, refusal);
  // Whoever asked may be gone before the outcome. A service that is stopped meanwhile needs its time, too.
  const auto is_over = [&] { return sandbox_.processes().size() <= 1; };
  expect(sandbox_.tracer().run_until(is_over, settling), "after an upgrade two processes are left");
  settle();
  if (serving() != 0) return expect_right_version(result, is_bad);
  const bool must_take_over = !is_bad && killed_predecessor() && sandbox_.tracer().has_seen(successor());
  expect(may_end_service(result) && !must_take_over, "after an upgrade nothing serves: " + text_of(result));
  expect_nothing_left("after an upgrade and a stop");
}

void Auditor::expect_right_version(const Result& result, bool is_bad) {
  const pid_t service = serving();
  const bool is_old = service == predecessor();
  // A command that lost sight of the upgrade does not stop it. The new version goes on without the old one.
  const bool may_go_on = hit_process(sandbox_.tracer().name_of(result.pid)) || killed_predecessor();
  // The old version ends one whose answer it can't read, though the command may have seen that one serve.
  const bool reads_no_answer = may_keep_back() && point_->fault.for_ever &&
                               sandbox_.tracer().hit_call() == SYS_recvfrom &&
                               hit_process(sandbox_.tracer().name_of(predecessor()));
  if (is_bad) expect(is_old, "a bad version serves");
  else if (result.exited(0))
    expect(!is_old || reads_no_answer, "an upgrade succeeds, but the old version serves");
  else
    expect(is_old || may_go_on || gets_no_lock(),
           "an upgrade fails, but the new version serves: " + text_of(result));
  const std::string text = contents(pidfile);
  expect(std::atoi(text.c_str()) == service,
         "after an upgrade the pidfile does not name the service: " + text);
  expect_hand_over(is_old);
  expect_serves("after an upgrade");
  expect_next_upgrade();
}

// The new version has the sockets of the old one, and the bytes that it remembered.
void Auditor::expect_hand_over(bool is_old) {
  const auto open = sandbox_.sockets_of(serving());
  expect(std::includes(open.begin(), open.end(), sockets_.begin(), sockets_.end()),
         "after an upgrade the service has other sockets");
  if (!is_old)
    expect(sandbox_.count("finds state") == 1, "the new version does not find what the old one kept");
}

// The configuration that made a version bad is gone.
void Auditor::expect_next_upgrade() {
  const pid_t service = serving();
  if (service == 0) return;
  const Result next = sandbox_.run("upgrade" + std::to_string(++commands_), "upgrade");
  // A process that could not note how it was started can't be upgraded, and says so.
  if (hit(Kind::error) && hit_process(sandbox_.tracer().name_of(service)) &&
      next.output.find("cannot read /proc/self/") != std::string::npos)
    return;
  expect(next.exited(0) || gets_no_lock(), "the next upgrade fails: " + text_of(next));
  if (!next.exited(0)) return expect_one_line(next, "the next upgrade");
  const auto has_ended = [&] { return sandbox_.end_of(service).has_value(); };
  expect(sandbox_.tracer().run_until(has_ended, settling),
         "the version before the next upgrade does not end");
}

}  // namespace faults
