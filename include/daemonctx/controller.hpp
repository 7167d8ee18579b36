// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <boost/filesystem/path.hpp>
#include <chrono>
#include <csignal>
#include <system_error>
#include <vector>

#include "daemonctx/export.hpp"

namespace daemonctx {

/// What the locks on a pidfile say. The text in the file is never believed.
enum class DaemonState {
  running,
  starting,  ///< a start is under way and has no pid yet
  stopped,   ///< there is no file
  stale,     ///< there is a file, and nobody holds its lock
};

struct DaemonStatus {
  DaemonState state = DaemonState::stopped;
  pid_t pid = 0;  ///< of a running daemon; 0 if it has no number in this pid namespace
};

/// One step of a stop: the signal to send, and how long to wait for the end.
struct StopStep {
  int signal = SIGTERM;
  std::chrono::milliseconds wait = {};
};

/// Taken in order until the daemon has ended.
using StopPolicy = std::vector<StopStep>;

struct StopResult {
  pid_t pid = 0;
  int signal = 0;  ///< the one after which it ended
  std::chrono::milliseconds took = {};
};

/// Acts on a running daemon through its pidfile. The kernel names the process (the holder of the identity lock),
/// and a signal goes to that process and no other: neither forged text nor a reused pid can divert it.
///
/// Each operation comes as a pair; the one with an error code sets it where the other throws, and the codes are
/// the same. Reentrant. Not to be used by the daemon on its own pidfile: closing it would drop the lock.
class DAEMONCTX_EXPORT Controller {
 public:
  explicit Controller(boost::filesystem::path pidfile);

  /// Asks; neither creates nor changes nor locks anything, so a start elsewhere is not disturbed.
  /// \throws std::system_error: the file is there and can't be read.
  DaemonStatus status() const;
  DaemonStatus status(std::error_code& error) const noexcept;

  /// \throws std::system_error: `std::errc::no_such_process` if it is not running; `not_supported` if it has no
  ///         number in this pid namespace; or the system's error.
  void send_signal(int signal) const;
  void send_signal(int signal, std::error_code& error) const noexcept;

  /// Ends the daemon, waiting for its end without polling.
  /// \throws std::system_error: `no_such_process` if it is not running; `timed_out` if it outlived the policy;
  ///         `operation_not_permitted` if this user may not signal it.
  StopResult stop(const StopPolicy& policy = default_stop_policy()) const;
  StopResult stop(const StopPolicy& policy, std::error_code& error) const noexcept;

  /// SIGTERM and 10 s, then SIGKILL and 5 s.
  static StopPolicy default_stop_policy();

 private:
  boost::filesystem::path pidfile_;
};

}  // namespace daemonctx
