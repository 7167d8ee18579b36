// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <array>
#include <optional>
#include <string_view>

#include "posix/unique_fd.hpp"

namespace daemonctx {

/// Something that is printed into, and read a line at a time. Reentrant.
class LineReader {
 public:
  static constexpr std::size_t longest_line = 8192;

  struct Piece {
    std::string_view text;  ///< valid until the next call
    bool begins_line;
  };

  /// A pipe: for other processes, which wait for the reader. Descriptors are close-on-exec. \throws
  /// std::system_error
  static LineReader pipe();

  /// A file in memory: for the reader's own process, which could not wait for itself. \throws
  /// std::system_error
  static LineReader memory();

  /// What is to be printed into.
  int writer() const noexcept { return writer_.get(); }

  /// For poll(2). -1: it has no events.
  int reader() const noexcept { return reader_.get(); }

  void close() noexcept;

  /// In a forked process that prints: only the writer stays open, and waits, whatever the last one has made
  /// of it.
  void leave_to_writer() noexcept;

  /// How much there is to be read.
  std::size_t waiting() const noexcept;

  /// Reads as much as there is, and room for it. Never waits.
  std::size_t read_more() noexcept;

  /// The next line, without its end, of what has been read; or a piece of one that is too long.
  /// \param also_rest what has no end yet, too.
  std::optional<Piece> next(bool also_rest) noexcept;

 private:
  LineReader(UniqueFd reader, UniqueFd writer) noexcept
      : reader_(std::move(reader)), writer_(std::move(writer)) {}

  UniqueFd reader_;
  UniqueFd writer_;
  off_t place_ = 0;  // in memory
  std::array<char, longest_line> text_{};
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  bool within_line_ = false;
};

}  // namespace daemonctx
