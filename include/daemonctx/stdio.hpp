// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>
#include <syslog.h>

#include <string>
#include <utility>

#include "daemonctx/path.hpp"

namespace daemonctx {

/// How a file for a standard stream is opened.
struct FileOptions {
  bool truncate = false;   ///< true: emptied at the start; false: appended to. A reopen always appends.
  mode_t mode = 0640;      ///< of a new file, regardless of the umask
  std::string user = {};   ///< owner of a new file; empty: `DaemonOptions::user`, or else the starter
  std::string group = {};  ///< empty: the group of `user`, or else `DaemonOptions::group`
};

/// Where one of the descriptors 0 to 2 leads.
class StdioTarget {
 public:
  enum class Kind { automatic, null_device, inherit, descriptor, file, journal, syslog };

  /// The null device if the daemon detaches; in the foreground the stream stays as it is.
  StdioTarget() = default;

  static StdioTarget null_device() { return StdioTarget(Kind::null_device); }

  /// The stream stays as it is.
  static StdioTarget inherit() { return StdioTarget(Kind::inherit); }

  /// A copy of the open descriptor `fd`, which is neither changed nor closed.
  static StdioTarget descriptor(int fd) {
    StdioTarget target(Kind::descriptor);
    target.descriptor_ = fd;
    return target;
  }

  /// A file. The caller opens it, so that a failure is thrown there. A relative path is resolved in the
  /// caller's working directory. The same path for output and error is opened once and shared.
  ///
  /// /dev/stdout, /dev/fd/N and the like are copied, as by `descriptor`, and a log rotation does not reopen
  /// them. A file that others could have put there is refused: another user's link or, in a directory that
  /// others may write, another user's FIFO or file (a file of `DaemonOptions::user` is accepted).
  static StdioTarget file(Path path, FileOptions options = {}) {
    StdioTarget target(Kind::file);
    target.path_ = std::move(path);
    target.options_ = std::move(options);
    return target;
  }

  /// The systemd journal, with this name. A line that begins with `<N>` has that priority (syslog(3), 0 to
  /// 7), any other line is `info`. Lines of a process that crashes are not lost.
  static StdioTarget journal(std::string identifier) {
    StdioTarget target(Kind::journal);
    target.identifier_ = std::move(identifier);
    return target;
  }

  /// The local syslog service (/dev/log), line by line, with this name and the writer's pid. Priorities are
  /// as for `journal`; the monitor's own lines, about crashes, are `err`. A monitor forwards the lines, also
  /// the last lines before a crash. Without `DaemonOptions::respawn` the start adds a monitor that never
  /// respawns. Lines that the syslog service does not accept within two seconds are lost, and counted. A
  /// process that outlives the service has no output any more (SIGPIPE).
  /// \param facility as for openlog(3): LOG_DAEMON, LOG_LOCAL0.
  static StdioTarget syslog(std::string identifier, int facility = LOG_DAEMON) {
    StdioTarget target(Kind::syslog);
    target.identifier_ = std::move(identifier);
    target.facility_ = facility;
    return target;
  }

  Kind kind() const noexcept { return kind_; }
  int descriptor() const noexcept { return descriptor_; }
  const Path& path() const noexcept { return path_; }
  const FileOptions& options() const noexcept { return options_; }
  const std::string& identifier() const noexcept { return identifier_; }
  int facility() const noexcept { return facility_; }

 private:
  explicit StdioTarget(Kind kind) : kind_(kind) {}

  Kind kind_ = Kind::automatic;
  int descriptor_ = -1;
  Path path_ = {};
  FileOptions options_ = {};
  std::string identifier_ = {};
  int facility_ = LOG_DAEMON;
};

/// The three standard streams.
struct Stdio {
  StdioTarget in = {};
  StdioTarget out = {};
  StdioTarget err = {};
};

}  // namespace daemonctx
