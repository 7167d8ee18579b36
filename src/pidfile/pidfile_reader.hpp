// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "daemonctx/path.hpp"
#include "pidfile/pidfile.hpp"
#include "posix/unique_fd.hpp"

namespace daemonctx {

/// Opens a pidfile to read its locks. This process's own pidfile is never opened: closing it would drop the
/// locks. While a reader is open, no thread of this process claims a pidfile. Reentrant.
class PidfileReader {
 public:
  PidfileReader() noexcept = default;
  explicit PidfileReader(const Path& path) noexcept;
  PidfileReader(PidfileReader&& other) noexcept;
  PidfileReader& operator=(PidfileReader&& other) noexcept;
  PidfileReader(const PidfileReader&) = delete;
  PidfileReader& operator=(const PidfileReader&) = delete;
  ~PidfileReader() { close(); }

  Pidfile::Own own() const noexcept { return own_; }

  /// The descriptor, open to read. -1 if the file is this process's own, or could not be opened.
  int fd() const noexcept { return fd_.get(); }

  /// An errno, or 0. EISDIR or ENODEV: not a regular file. ELOOP: a symbolic link, or others could have put
  /// one on the way to the file. EMLINK: several links.
  int error() const noexcept { return error_; }

 private:
  void open(const Path& path) noexcept;
  void close() noexcept;

  Pidfile::Own own_ = Pidfile::Own::no;
  int error_ = 0;
  bool counts_ = false;
  UniqueFd fd_;
};

}  // namespace daemonctx
