// SPDX-License-Identifier: BSL-1.0
#include "context/plan.hpp"

#include <signal.h>

#include <posix/syscalls.hpp>

namespace daemonctx {

SignalMap Plan::signal_map() const {
  SignalMap map = options.signal_map;
  // `insert` keeps the entries of `options.signal_map`.
  map.insert({{SIGTERM, Action::terminate}, {SIGINT, Action::terminate}});
  // Programs expect EPIPE, as in other languages. In the foreground `program | head` must end.
  if (launch.mode != LaunchMode::foreground) map.insert({SIGPIPE, Action::ignore});
  // In the foreground these signals stay with the shell: Ctrl-Z stops the service.
  if (detaches())
    map.insert({{SIGTSTP, Action::ignore}, {SIGTTIN, Action::ignore}, {SIGTTOU, Action::ignore}});
  return map;
}

std::string Plan::subject_of(Step step) const {
  if (step == Step::change_directory) return options.working_directory.native();
  if (step == Step::write_pidfile) return options.pidfile.native();
  if (step == Step::change_root) return options.chroot_directory.native();
  if (step == Step::change_user) return changes_only_group() ? options.group : options.user;
  return {};
}

DaemonError Plan::error_of(Step step, int error, std::string_view text) const {
  const std::error_code code(error, std::generic_category());
  const std::string subject = subject_of(step);
  if (!text.empty()) return {step, code, subject, std::string(text)};
  if (step != Step::change_user || !changes_only_group()) return {step, code, subject};
  return {step, code, subject, "cannot become the group \"" + subject + "\": " + code.message()};
}

bool Plan::changes_only_group() const noexcept {
  const bool keeps_user = identity && !identity->had_privileges && identity->uid == posix::getuid();
  return !options.group.empty() && (options.user.empty() || keeps_user);
}

}  // namespace daemonctx
