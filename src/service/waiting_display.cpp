// SPDX-License-Identifier: BSL-1.0
#include "service/waiting_display.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <iostream>

#include "base/number.hpp"

namespace daemonctx {

WaitingDisplay::WaitingDisplay(std::string text) : text_(std::move(text)), owner_(::getpid()) {}

Progress WaitingDisplay::progress() {
  const char* terminal = std::getenv("TERM");
  if (::isatty(STDERR_FILENO) == 0 || (terminal != nullptr && std::strcmp(terminal, "dumb") == 0)) return {};
  winsize size{};
  // A character in the last column would wrap the line.
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1) width_ = size.ws_col - 1U;
  return [this](std::chrono::milliseconds passed) { show(passed); };
}

void WaitingDisplay::show(std::chrono::milliseconds passed) {
  shown_ = text_ + ", " + to_seconds(std::chrono::duration_cast<std::chrono::milliseconds>(passed));
  shown_.resize(std::min(shown_.size(), width_));
  std::cerr << shown_ << '\r' << std::flush;  // other output overwrites the line
}

void WaitingDisplay::clear() noexcept {
  if (shown_.empty() || owner_ != ::getpid()) return;
  std::cerr << std::string(shown_.size(), ' ') << '\r' << std::flush;
  shown_.clear();
}

}  // namespace daemonctx
