// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <mutex>
#include <string>
#include <string_view>

#include "context/plan.hpp"
#include "context/resources.hpp"
#include "launch/status_pipe.hpp"

namespace daemonctx {

/// Whether the daemon is ready, and which of its observers were told. Thread-safe, except `status`.
class ReadinessState {
 public:
  ReadinessState(const Plan& plan, Resources& resources) noexcept : plan_(plan), resources_(resources) {}

  /// Redirects the output, then tells the service manager, the caller and the supervisor. One thread at a
  /// time; further calls do nothing. \throws DaemonError, as `DaemonContext::notify_ready` says.
  void become_ready();

  bool is_ready() const noexcept;

  /// Notes that the service can't do its work. \return whether a caller still waited and was told.
  bool fail(std::string_view text) noexcept;

  /// Notes that the context ends. If a caller still waits and `fail` was not called, the caller gets the
  /// error of `become_ready`, or else `reason`.
  void end(std::string_view reason) noexcept;

 private:
  void redirect_output();
  void tell_manager();
  void tell_caller();
  void tell_supervisor() noexcept;
  bool has_failed() const noexcept;

  const Plan& plan_;
  Resources& resources_;
  posix::Turn becoming_;  // no lock: user-defined streams are flushed, and the manager is waited for
  mutable std::mutex mutex_;
  bool ready_ = false;
  bool failed_ = false;
  std::string error_;  // why `become_ready` failed
};

}  // namespace daemonctx
