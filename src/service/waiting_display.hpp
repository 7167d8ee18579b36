// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <string>

#include "daemonctx/progress.hpp"

namespace daemonctx {

/// A line on the terminal that says what is waited for, and for how long already. Nothing is shown where
/// standard error is no terminal, or a dumb one. A forked daemon's copy does nothing.
class WaitingDisplay {
 public:
  /// \param text what is shown before the time: "heartbeat: starting".
  explicit WaitingDisplay(std::string text);
  ~WaitingDisplay() { clear(); }
  WaitingDisplay(const WaitingDisplay&) = delete;
  WaitingDisplay& operator=(const WaitingDisplay&) = delete;

  /// To be told that it goes on. Must not outlive the display.
  Progress progress();

  /// Takes the line away.
  void clear() noexcept;

 private:
  void show(std::chrono::milliseconds passed);

  std::string text_;
  std::string shown_;
  std::size_t width_ = std::string::npos;
  pid_t owner_;
};

}  // namespace daemonctx
