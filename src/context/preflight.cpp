// SPDX-License-Identifier: BSL-1.0

// `preflight`: checks what a start would find, and starts nothing.

#include "context/caller_steps.hpp"
#include "context/daemon_steps.hpp"
#include "daemonctx/run.hpp"

namespace daemonctx {

void preflight(DaemonOptions options) {
  validate(options);
  resolve_options(options);
  const Surroundings surroundings = look_around(options);
  const LaunchDecision launch = decide_launch(options.detach_process, surroundings);
  DaemonContext::Impl impl(std::move(options), launch);
  look_up_user(impl);
  check_threads(impl);
  try {
    impl.resources.directories.create(impl.plan.options.create_directories, impl.plan.options.user,
                                      impl.plan.options.group);
    prepare_restrictions(impl.plan.options);
    check_stdio(impl);
    if (!impl.plan.options.pidfile.empty()) Pidfile::check(impl.plan.options.pidfile);
    check_working_directory(impl);
  } catch (...) {
    impl.resources.directories.undo();
    throw;
  }
  impl.resources.directories.undo();
}

}  // namespace daemonctx
