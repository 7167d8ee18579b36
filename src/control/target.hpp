// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <boost/filesystem/path.hpp>
#include <chrono>
#include <system_error>

#include "daemonctx/timeout.hpp"
#include "pidfile/pidfile_reader.hpp"
#include "posix/progress_ticker.hpp"
#include "posix/unique_fd.hpp"

namespace daemonctx {

enum class HolderCheck {
  credible,
  incredible,
  changed,  ///< it holds the lock no longer
};

/// Whether a process that the kernel names as the holder of a pidfile's lock can be the daemon. Locks outlive
/// a process whose open files another one shares, and then name whoever got its number; and a file of
/// somebody else's can be one that is locked by others for reasons of their own. So the holder must have the
/// file open, and where that is not root's, be a process of its owner. It held the lock before and after all
/// that was seen.
HolderCheck check_holder(pid_t holder, int pidfile) noexcept;

/// The daemon that held the identity lock of a pidfile at one moment. Nothing done through this reaches
/// another process.
class Target {
 public:
  /// How long a start may take until it has a pid, and a chance to offer a reload.
  static constexpr std::chrono::milliseconds naming_patience{2000};

  /// \param error `no_such_process`: none holds it; `not_supported`: it has no number in this pid namespace;
  ///   `bad_message`: the one that holds it can't be the daemon (see `check_holder`);
  ///   `resource_unavailable_try_again`: a start is under way and has no pid even after 2 s; or the system's.
  static Target find(const boost::filesystem::path& pidfile, Ticker& ticker, std::error_code& error) noexcept;

  pid_t pid() const noexcept { return pid_; }

  /// True in the daemon itself: then there is no `file()`, since closing it would drop the locks.
  bool is_self() const noexcept { return reader_.own() != Pidfile::Own::no; }

  /// Also true in its worker: whoever waits there for what the daemon does, waits for itself.
  bool is_own_service() const noexcept { return is_self() || Pidfile::is_left_to(pid_); }

  /// The pidfile, to be read.
  int file() const noexcept { return reader_.fd(); }

  /// Readable when it has ended. -1 where the system has no such descriptor; then one has to ask.
  int end_fd() const noexcept { return process_.get(); }
  bool has_ended() const noexcept;

  /// \return 0 or an errno; ESRCH if it has ended.
  int send(int signal) const noexcept;

  /// True if it ended in time.
  bool await_end(Timeout longest, Ticker& ticker) const noexcept;

 private:
  static Target find_once(const boost::filesystem::path& pidfile, std::error_code& error) noexcept;
  void identify(std::error_code& error) noexcept;
  bool holds_lock() const noexcept;

  PidfileReader reader_;
  UniqueFd process_;
  pid_t pid_ = 0;
};

/// How long to sleep at most where an end is no event for a stranger, for want of pidfds.
inline constexpr std::chrono::milliseconds blind_slice{10};

}  // namespace daemonctx
