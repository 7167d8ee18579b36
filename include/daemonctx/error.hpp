// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>

#include "daemonctx/export.hpp"

namespace daemonctx {

/// The steps of a start, in the order of execution. Those up to `start_intermediate` are done by the caller,
/// `create_session` and `start_daemon` by the intermediate, the rest by the daemon.
enum class Step {
  resolve_paths,
  choose_mode,
  check_threads,
  fill_standard_descriptors,
  adopt_manager,
  look_up_user,
  create_directories,
  prepare_restrictions,
  open_stdio,
  open_pidfile,
  lock_pidfile,
  create_status_pipe,
  start_intermediate,
  create_session,
  start_daemon,
  reset_signals,
  close_descriptors,
  limit_core,
  set_umask,
  write_pidfile,
  start_worker,  ///< with `DaemonOptions::respawn`; the steps that follow are the worker's
  run_before_drop,
  change_root,
  change_user,
  change_directory,
  rule_out_new_privileges,
  install_signal_map,
  redirect_stdio,
  apply_restrictions,  ///< beginning around `change_user`
  become_ready,
  run_service,
};

/// What the step does, as it follows "cannot" in a message: "change the working directory to".
DAEMONCTX_EXPORT std::string_view describe(Step step) noexcept;

/// A start that failed, on whichever side of the fork: thrown in the process that the user started.
///
/// `what()` is one line that names the thing and the reason:
/// `cannot change the working directory to "/nope": No such file or directory`.
/// Beside the system's own errors `code()` is one of
/// - `std::errc::file_exists`: already running (as in pidfile(3)); `pid()` tells who;
/// - `std::errc::timed_out`: not ready within `ready_timeout`;
/// - `std::errc::interrupted`: a signal reached the caller while it waited;
/// - `std::errc::operation_canceled`: the daemon ended, or called `fail()`, before it was ready;
/// - `std::errc::broken_pipe`: the caller was gone before the daemon was ready.
class DAEMONCTX_EXPORT DaemonError : public std::system_error {
 public:
  /// A failed system call: the message is made of step, subject and code.
  DaemonError(Step step, std::error_code code, const std::string& subject = {});

  /// A failure with a text of its own.
  DaemonError(Step step, std::error_code code, const std::string& subject, const std::string& text,
              pid_t pid = 0);

  Step step() const noexcept { return step_; }

  /// The path or name concerned; empty if there is none.
  const char* subject() const noexcept { return subject_.what(); }

  /// The process concerned: the running daemon, or the one that died; 0 if there is none.
  pid_t pid() const noexcept { return pid_; }

  const char* what() const noexcept override { return text_.what(); }

 private:
  Step step_;
  pid_t pid_;
  std::runtime_error subject_;  // not a string: copying an exception must not throw
  std::runtime_error text_;
};

/// The text of any exception: `what()`, or "unknown exception" for what is no `std::exception`.
/// An empty pointer gives an empty text. Thread-safe.
DAEMONCTX_EXPORT std::string describe(const std::exception_ptr& error);

}  // namespace daemonctx
