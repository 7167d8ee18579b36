// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <array>
#include <memory>
#include <optional>
#include <vector>

#include "daemonctx/stdio.hpp"
#include "output/syslog_forwarder.hpp"
#include "posix/unique_fd.hpp"
#include "safe_path/trusted_path.hpp"

namespace daemonctx {

/// Makes descriptors 0 to 2 valid: closed ones become the null device, so that no file opened later gets
/// their numbers and is written to by mistake.
/// \throws DaemonError (`fill_standard_descriptors`).
void fill_standard_descriptors();

/// Carries out `Stdio`: opens everything first, redirects later. Reentrant.
class Redirection {
 public:
  Redirection() noexcept = default;

  /// Opens the targets. Paths are absolute.
  /// \param detached what `StdioTarget::Kind::automatic` means: the null device, or the stream as it is.
  /// \param user whom the daemon becomes: he too may own a log where others may write.
  /// \param keeps_places whether `reopen` is to find the files when another user can't walk their paths: the
  ///   directories of output and error are kept open for that. Behind another root directory they would be a
  ///   way out.
  /// \throws DaemonError (`open_stdio`).
  /// \note Runs in the caller.
  static Redirection open(const Stdio& stdio, bool detached, std::optional<uid_t> user = {},
                          bool keeps_places = false);

  /// The descriptors held open for later.
  void append_descriptors(std::vector<int>& to) const;

  /// Whether one of the three would lead to the same file as `fd`.
  bool leads_to(int fd) const noexcept;

  /// Redirects descriptor 0. \return 0 or an errno. \note Runs in the daemon before it may allocate.
  int redirect_input() noexcept { return redirect(0); }

  /// Redirects descriptors 1 and 2, emptying the files that are to be emptied, and closes what was held open
  /// for that. Only now, since a start that is refused must not touch the log of the daemon that runs.
  /// \return 0 or an errno.
  int redirect_output() noexcept;

  /// The same with all three in a monitor, whose worker has done it: nothing is emptied.
  int follow() noexcept;

  /// What the monitor has to see to.
  const std::vector<std::unique_ptr<SyslogForwarder>>& pumps() const noexcept { return pumps_; }

  /// In a worker that was just forked.
  void leave_to_worker() noexcept;

  /// Opens the files of 1 and 2 anew, appending, and puts them in place of the old ones at once.
  /// \param pidfile this process's descriptor of it, or -1. One of its name by now is refused, and never
  ///   closed: that would drop the locks.
  /// \throws DaemonError (`open_stdio`, `redirect_stdio`); the old files stay in use.
  void reopen(const Stdio& stdio, int pidfile = -1) const;

  /// Whether a stream is a file that `reopen` opens: not what a path such as /dev/stdout stood for at the
  /// start.
  bool reopens(const Stdio& stdio, int stream) const noexcept;

 private:
  int redirect(int stream) noexcept;
  int share_or_open(const Stdio& stdio, int stream, StdioTarget::Kind kind);
  void keep_place(const StdioTarget& target, int stream);

  std::optional<uid_t> user_;
  std::array<int, 3> sources_ = {-1, -1, -1};  // -1: leave the stream as it is
  std::array<bool, 3> truncates_ = {};
  std::array<bool, 3> was_descriptor_ = {};
  int null_device_ = -1;  // one for all streams
  std::vector<UniqueFd> owned_;
  std::vector<std::unique_ptr<SyslogForwarder>> pumps_;
  std::array<std::optional<posix::DirectoryEntry>, 3> entries_;
};

}  // namespace daemonctx
