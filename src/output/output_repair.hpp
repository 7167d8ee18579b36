// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <unistd.h>

#include <array>
#include <chrono>
#include <string>

#include "daemonctx/stdio.hpp"

namespace daemonctx {

/// Keeps the output of a service usable after a full disk, after a FIFO without a reader, and after a restart
/// of the systemd journal. A stream that the starter has given is left alone, unless it leads to a journal:
/// it may carry a protocol, and the program may look at its state. For one thread, the one that dispatches
/// signals.
class OutputRepair {
 public:
  /// Clears the error states of std::cout, std::cerr, std::clog, stdout and stderr, and connects again to a
  /// journal that has closed its stream. If output was lost, says so in one line as soon as there is room.
  /// \pre descriptors 1 and 2 are where `stdio` says.
  /// \param may_connect false: a filter may forbid the system calls for that, or kill who makes them.
  /// \return when to call it again at the latest
  std::chrono::steady_clock::time_point repair(const Stdio& stdio, bool may_connect) noexcept;

  /// Descriptors for poll(2), without an event; if one has an error or a hang-up, call `repair`. -1: none.
  const std::array<int, 2>& watched() const noexcept { return watched_; }

 private:
  struct Stream {
    int fd;
    std::string journal = {};     ///< the path of its socket; empty: this is no journal
    std::string identifier = {};  ///< the name of the lines there
    bool is_log = false;          ///< it leads where the options say, or to a journal
    bool lost = false;            ///< output was lost, and no line has said so
  };

  void begin(const Stdio& stdio, bool may_connect);
  bool reconnect() noexcept;
  bool tell_loss(Stream& stream) noexcept;

  bool begun_ = false;
  std::array<Stream, 2> streams_ = {{{STDOUT_FILENO}, {STDERR_FILENO}}};
  std::array<int, 2> watched_ = {-1, -1};
};

}  // namespace daemonctx
