// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <climits>
#include <cstdint>
#include <optional>
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
    ready,    ///< the daemon's last record
    failure,  ///< this step failed, or the service did
  };

  Kind kind = Kind::ready;
  std::int32_t step = 0;
  std::int32_t error = 0;
  std::uint32_t text_size = 0;  ///< of the text that follows
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

/// A record as it was received.
struct StatusReport {
  StatusRecord::Kind kind = StatusRecord::Kind::ready;
  Step step = Step::become_ready;
  int error = 0;
  std::string text = {};
};

/// The reading end. The daemon may have become a user whom the caller must not trust. So each record is
/// checked, and no read waits.
class StatusReader {
 public:
  explicit StatusReader(UniqueFd fd) noexcept : fd_(std::move(fd)) {}

  /// The next report; empty if it has not arrived as a whole.
  std::optional<StatusReport> next();

  /// True after the end of file, and after bytes that are no record. No report follows.
  bool is_over() const noexcept { return is_over_; }

  int fd() const noexcept { return fd_.get(); }

 private:
  bool is_complete() const noexcept { return size_ > 0 && size_ == sizeof record_ + text_.size(); }
  bool read_some() noexcept;
  void begin_text();

  process::PrivateFd fd_;  // in a child of the caller it would look like a caller that waits
  StatusRecord record_;    // as far as it has arrived, like its text
  std::string text_;
  std::size_t size_ = 0;
  bool is_over_ = false;
};

struct StatusPipe {
  StatusReader reader;
  StatusWriter writer;
};

/// \throws DaemonError (`create_status_pipe`).
StatusPipe create_status_pipe();

}  // namespace daemonctx
