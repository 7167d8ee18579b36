// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <exception>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>

#include "daemonctx/export.hpp"

namespace daemonctx {

/// The steps of a start, in the order in which a detaching start runs them. The caller runs the steps up to
/// `start_intermediate`, the intermediate runs `create_session` and `start_daemon`, and the daemon runs the
/// rest. Only the names are stable: a later version may insert steps and so change the values.
enum class Step {
  resolve_paths,
  choose_mode,
  check_threads,
  fill_standard_descriptors,
  adopt_manager,
  adopt_predecessor,  ///< in a program that an upgrade has started
  look_up_user,
  create_directories,  ///< runs in two parts: before and after `lock_pidfile`
  open_pidfile,
  lock_pidfile,
  open_sockets,
  prepare_restrictions,
  open_stdio,
  create_status_pipe,
  start_intermediate,
  create_session,
  start_daemon,
  reset_signals,
  close_descriptors,
  limit_core,
  set_umask,
  write_pidfile,
  start_worker,  ///< with `DaemonOptions::respawn`; the worker runs the steps that follow
  install_signal_map,
  set_limits,
  run_before_drop,
  change_root,
  change_user,
  change_directory,
  rule_out_new_privileges,
  redirect_stdio,
  apply_restrictions,  ///< runs in three parts: before and after `change_user`, and last
  become_ready,
  run_service,
};

/// The step in words that follow "cannot" in a message: "change the working directory to".
DAEMONCTX_EXPORT std::string_view to_string(Step step) noexcept;

/// A failed start, on either side of the fork. Thrown in the process that the user started.
///
/// `what()` is one line that names the subject and the reason:
/// `cannot change the working directory to "/nope": No such file or directory`.
/// Besides the system's own errors, `code()` is one of
/// - `std::errc::file_exists`: the daemon is already running (as in pidfile(3)); `pid()` names it;
/// - `std::errc::timed_out`: the daemon was not ready within `ready_timeout`;
/// - `std::errc::interrupted`: a signal reached the caller while it waited;
/// - `std::errc::operation_canceled`: the daemon ended, or called `fail()`, before it was ready;
/// - `std::errc::broken_pipe`: the caller was gone before the daemon was ready.
class DAEMONCTX_EXPORT DaemonError : public std::system_error {
 public:
  /// A failed system call. The message is made of step, subject and code.
  DaemonError(Step step, std::error_code code, const std::string& subject = {});

  /// A failure with its own message, `text`.
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

/// The text of any exception: `what()`, or "unknown exception" if it is no `std::exception`. An empty pointer
/// gives an empty text. Thread-safe.
DAEMONCTX_EXPORT std::string message_of(const std::exception_ptr& error);

/// Receives an exception that no caller could catch, and where it was thrown: in a cleanup, a reload, a
/// signal action or a reopen of the output. An exception that the handler itself throws is dropped.
using ErrorHandler = std::function<void(std::exception_ptr error, std::string_view where)>;

}  // namespace daemonctx
