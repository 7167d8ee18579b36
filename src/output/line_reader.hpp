// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "posix/unique_fd.hpp"

namespace daemonctx {

/// The pipe of a `LineReader`, and an unfinished line that was read of it.
struct HandedLines {
  UniqueFd reader = {};
  UniqueFd writer = {};
  std::string rest = {};
};

/// A pipe or a file in memory that a process prints into, and that is read line by line. Reentrant.
class LineReader {
 public:
  static constexpr std::size_t longest_line = 8192;

  struct Piece {
    std::string_view text;  ///< valid until the next call
    bool begins_line;
  };

  /// Makes a pipe. Other processes print into it and wait for the reader. Descriptors are close-on-exec.
  /// \param lines a pipe to use in place of a new one.
  /// \throws std::system_error
  static LineReader pipe(HandedLines lines = {});

  /// Makes a file in memory. The reader's own process prints into it, because it cannot wait for itself.
  /// \throws std::system_error
  static LineReader memory();

  /// The descriptor to print into.
  int writer() const noexcept { return writer_.get(); }

  /// The descriptor for poll(2). -1 for a file in memory, which has no events.
  int reader() const noexcept { return reader_.get(); }

  /// What was read, and is no whole line yet.
  std::string_view rest() const noexcept { return {text_.data() + begin_, end_ - begin_}; }

  void close() noexcept;

  /// Called in a forked process that prints. Keeps only the writer open, and makes it blocking: an earlier
  /// process may have set O_NONBLOCK.
  void leave_to_writer() noexcept;

  /// The number of bytes that can be read.
  std::size_t waiting() const noexcept;

  /// Reads the available bytes, as far as there is room. Never waits. \return the number of bytes.
  std::size_t read_more() noexcept;

  /// Returns the next line that was read, without its newline, or a piece of a line that is too long.
  /// \param also_rest true: also returns a last line that has no newline yet.
  std::optional<Piece> next(bool also_rest) noexcept;

 private:
  LineReader(UniqueFd reader, UniqueFd writer) noexcept
      : reader_(std::move(reader)), writer_(std::move(writer)) {}

  UniqueFd reader_;
  UniqueFd writer_;
  off_t place_ = 0;  // read offset in the file in memory
  std::array<char, longest_line> text_{};
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  bool within_line_ = false;
};

}  // namespace daemonctx
