// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <optional>
#include <string_view>

#include "unique_fd.hpp"

namespace daemonctx {

/// A pipe that one process prints into and another reads, a line at a time. Reentrant.
class LinePipe {
 public:
  static constexpr std::size_t longest_line = 8192;

  struct Piece {
    std::string_view text;  ///< valid until the next call
    bool begins_line;
  };

  /// Both ends are open, and close-on-exec. \throws std::system_error
  LinePipe();

  int writer() const noexcept { return writer_.get(); }
  int reader() const noexcept { return reader_.get(); }

  /// From now on what finds no room is lost, instead of waited for.
  /// \return 0 or an errno.
  int never_wait() noexcept;

  void close_reader() noexcept { reader_.reset(); }
  void close_writer() noexcept { writer_.reset(); }

  /// Reads what is there, as far as there is room for it. Never waits. False: nothing was there.
  bool read_more() noexcept;

  /// The next line, without its end, of what has been read; or a piece of one that is too long.
  /// \param also_rest what has no end yet, too.
  std::optional<Piece> next(bool also_rest) noexcept;

 private:
  UniqueFd reader_;
  UniqueFd writer_;
  std::array<char, longest_line> text_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  bool within_line_ = false;
};

}  // namespace daemonctx
