// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <string>

#include "daemonctx/progress.hpp"

namespace daemonctx {

/// A line on the terminal that says what the program waits for, and for how long already. Shows nothing if
/// standard error is no terminal, or a dumb one. In a forked daemon `clear` does nothing.
class WaitingDisplay {
 public:
  /// \param text shown before the time, as "heartbeat: starting".
  explicit WaitingDisplay(std::string text);
  ~WaitingDisplay() { clear(); }
  WaitingDisplay(const WaitingDisplay&) = delete;
  WaitingDisplay& operator=(const WaitingDisplay&) = delete;

  /// The function to call while the wait goes on; empty without a terminal. Must not outlive the display.
  Progress progress();

  /// Erases the line.
  void clear() noexcept;

 private:
  void show(std::chrono::milliseconds passed);

  std::string text_;
  std::string shown_;
  std::size_t width_ = std::string::npos;
  pid_t owner_;
};

}  // namespace daemonctx
