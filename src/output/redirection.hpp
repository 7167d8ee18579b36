// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <array>
#include <memory>
#include <optional>
#include <vector>

#include "daemonctx/stdio.hpp"
#include "output/open_target.hpp"
#include "output/syslog_forwarder.hpp"
#include "posix/unique_fd.hpp"
#include "safe_path/trusted_path.hpp"

namespace daemonctx {

/// Opens the null device for each closed descriptor from 0 to 2. Otherwise a file opened later could get its
/// number and be written to by mistake.
/// \throws DaemonError (`fill_standard_descriptors`).
void fill_standard_descriptors();

/// Carries out `Stdio`: opens everything first, redirects later. Reentrant.
class Redirection {
 public:
  Redirection() noexcept = default;

  /// Opens the targets. Paths are absolute.
  /// \param detached true: `StdioTarget::Kind::automatic` means the null device; false: the stream as it is.
  /// \param user who the daemon becomes. This user may own a log where others may write, and owns a new one.
  /// \param keeps_places true: keeps the directories of output and error open. `reopen` looks there if the
  ///   daemon's user may not walk their paths. A daemon could leave a new root directory through them.
  /// \throws DaemonError (`open_stdio`).
  /// \note Runs in the caller.
  void open(const Stdio& stdio, bool detached, std::optional<FileOwner> user = {}, bool keeps_places = false);

  /// Checks that `open` would succeed, but creates no file. Throws the same errors.
  static void check(const Stdio& stdio, bool detached, std::optional<FileOwner> user);

  /// Removes the files that `open` created and that are still empty. Does nothing once the output is
  /// redirected: the start has succeeded. Call it only while the pidfile is
  /// locked. Otherwise another start may have opened the files.
  void undo() noexcept;
  bool can_undo() const noexcept { return !created_.empty(); }

  /// Appends the descriptors held open for later.
  void append_descriptors(std::vector<int>& to) const;

  /// Whether one of the three streams would lead to the same file as `fd`.
  bool leads_to(int fd) const noexcept;

  /// Redirects descriptor 0. \return 0 or an errno. \note Runs in the daemon before it may allocate.
  int redirect_input() noexcept { return redirect(0); }

  /// Redirects descriptors 1 and 2, empties files with `FileOptions::truncate`, and closes what was held open
  /// for that. Call it late: a refused start must not touch the log of the running daemon.
  /// \return 0 or an errno.
  int redirect_output() noexcept;

  /// Redirects all three descriptors in a monitor whose worker has done so. Empties nothing.
  /// \return 0 or an errno.
  int follow() noexcept;

  /// The number of forwarders that `open` makes.
  static std::size_t count_pumps(const Stdio& stdio) noexcept;

  /// Takes over the pipes of a former program's forwarders, in the same order. Call it before `open`.
  void inherit(std::vector<HandedLines> lines) noexcept { inherited_ = std::move(lines); }

  /// Where a worker's descriptor 1 or 2 leads to, in a monitor whose service is ready.
  int of_worker(int stream) const noexcept {
    return sources_.at(static_cast<std::size_t>(stream)) == -1
               ? stream
               : sources_.at(static_cast<std::size_t>(stream));
  }

  /// The syslog forwarders that the monitor must run.
  const std::vector<std::unique_ptr<SyslogForwarder>>& pumps() const noexcept { return pumps_; }

  /// Called in a worker that was just forked: closes the monitor's descriptors.
  void leave_to_worker() noexcept;

  /// Opens the files of descriptors 1 and 2 anew, by their paths, for appending, and replaces the old ones at
  /// once.
  /// \param pidfile this process's descriptor of the pidfile, or -1. A path that leads to the pidfile by now
  ///   is refused. The pidfile is never closed: closing would drop its locks.
  /// \throws DaemonError (`open_stdio`, `redirect_stdio`); the old files stay in use.
  void reopen(const Stdio& stdio, int pidfile = -1) const;

  /// Whether `reopen` opens the file of a stream. False for a path that stood for a descriptor at the start,
  /// such as /dev/stdout.
  bool reopens(const Stdio& stdio, int stream) const noexcept;

 private:
  struct Created {
    Path path;  // no descriptor: few may be left
    struct stat file;
  };

  int redirect(int stream) noexcept;
  std::optional<uid_t> uid() const noexcept { return user_ ? std::optional(user_->uid) : std::nullopt; }
  std::optional<FileOwner> owner_of(const StdioTarget& target) const;
  UniqueFd open_or_check(const StdioTarget& target, int stream, const posix::DirectoryEntry& entry);
  int share_or_open(const Stdio& stdio, int stream, StdioTarget::Kind kind);
  void keep_place(const StdioTarget& target, int stream);
  posix::DirectoryEntry find_again(const Path& path, int stream) const;

  std::optional<FileOwner> user_;
  std::array<std::optional<FileOwner>, 3> owners_;  // of new files
  std::array<int, 3> sources_ = {-1, -1, -1};       // -1: leave the stream as it is
  std::array<bool, 3> truncates_ = {};
  std::array<bool, 3> was_descriptor_ = {};
  int null_device_ = -1;  // shared by all streams
  bool creates_ = true;
  std::vector<Created> created_;
  std::vector<UniqueFd> owned_;
  std::vector<std::unique_ptr<SyslogForwarder>> pumps_;
  std::vector<HandedLines> inherited_;
  std::array<std::optional<posix::DirectoryEntry>, 3> entries_;
};

}  // namespace daemonctx
