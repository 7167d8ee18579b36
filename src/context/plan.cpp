// SPDX-License-Identifier: BSL-1.0
#include "context/plan.hpp"

#include <signal.h>

namespace daemonctx {

SignalMap Plan::signal_map() const {
  SignalMap map = options.signal_map;
  // `insert` keeps the entries of `options.signal_map`.
  map.insert({{SIGTERM, terminate}, {SIGINT, terminate}});
  // In the foreground these signals stay with the shell: Ctrl-Z stops the service.
  if (detaches()) map.insert({{SIGTSTP, ignore}, {SIGTTIN, ignore}, {SIGTTOU, ignore}});
  return map;
}

std::string Plan::subject_of(Step step) const {
  if (step == Step::change_directory) return options.working_directory.string();
  if (step == Step::write_pidfile) return options.pidfile.string();
  if (step == Step::change_root) return options.chroot_directory.string();
  if (step == Step::change_user) return options.user.empty() ? options.group : options.user;
  return {};
}

}  // namespace daemonctx
