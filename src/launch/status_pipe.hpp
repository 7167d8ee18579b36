// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <climits>
#include <cstdint>
#include <string>
#include <string_view>

#include "daemonctx/error.hpp"
#include "posix/unique_fd.hpp"
#include "process/private_fd.hpp"

namespace daemonctx {

/// A message through the status pipe, from intermediate or daemon to the caller. A record and its text are
/// written at once and fit in PIPE_BUF, so that two writers never mix.
struct StatusRecord {
  enum class Kind : std::uint32_t {
    pid,      ///< from the intermediate: the daemon has this pid
    ready,    ///< from the daemon: its last record
    failure,  ///< from either: this step failed, or the service did
  };

  Kind kind = Kind::pid;
  std::int32_t pid = 0;
  std::int32_t step = 0;
  std::int32_t error = 0;
  std::uint32_t text_size = 0;
};

inline constexpr std::size_t longest_status_text = PIPE_BUF - sizeof(StatusRecord);

/// The writing end. The descriptor closes on exec and in forked children, so that the caller sees the end of
/// file when intermediate and daemon are gone.
class StatusWriter {
 public:
  StatusWriter() noexcept = default;
  explicit StatusWriter(UniqueFd fd) noexcept : fd_(std::move(fd)) {}

  /// Each sends one record. \return 0 or an errno: EPIPE if the caller is gone (no SIGPIPE is raised).
  /// \note May run in intermediate and daemon before they may allocate.
  int send_pid(pid_t daemon) const noexcept;
  int send_ready() const noexcept;
  int send_failure(Step step, int error, std::string_view text = {}) const noexcept;  ///< longer text is cut

  /// Whether a caller still waits. False for an empty writer.
  bool has_reader() const noexcept;

  void close() noexcept { fd_.reset(); }
  int fd() const noexcept { return fd_.get(); }
  explicit operator bool() const noexcept { return static_cast<bool>(fd_); }

 private:
  process::PrivateFd fd_;
};

/// The reading end.
class StatusReader {
 public:
  explicit StatusReader(UniqueFd fd) noexcept : fd_(std::move(fd)) {}

  /// Waits for a record. False at the end of file, or if the record is incomplete.
  bool receive(StatusRecord& record, std::string& text) const;

  int fd() const noexcept { return fd_.get(); }

 private:
  UniqueFd fd_;
};

struct StatusPipe {
  StatusReader reader;
  StatusWriter writer;
};

/// \throws DaemonError (`create_status_pipe`).
StatusPipe create_status_pipe();

}  // namespace daemonctx
