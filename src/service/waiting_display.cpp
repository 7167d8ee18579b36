// SPDX-License-Identifier: BSL-1.0
#include "service/waiting_display.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <iomanip>
#include <iostream>
#include <sstream>

namespace daemonctx {

WaitingDisplay::WaitingDisplay(std::string text) : text_(std::move(text)), owner_(::getpid()) {}

Progress WaitingDisplay::progress() {
  const char* terminal = std::getenv("TERM");
  if (::isatty(STDERR_FILENO) == 0 || (terminal != nullptr && std::strcmp(terminal, "dumb") == 0)) return {};
  winsize size{};
  // In the last column it would wrap.
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1) width_ = size.ws_col - 1U;
  return [this](std::chrono::milliseconds passed) { show(passed); };
}

void WaitingDisplay::show(std::chrono::milliseconds passed) {
  std::ostringstream text;
  text << text_ << ", " << std::fixed << std::setprecision(1) << std::chrono::duration<double>(passed).count()
       << " s";
  shown_ = text.str();
  shown_.resize(std::min(shown_.size(), width_));
  std::cerr << shown_ << '\r' << std::flush;  // what others print goes over it
}

void WaitingDisplay::clear() noexcept {
  if (shown_.empty() || owner_ != ::getpid()) return;
  std::cerr << std::string(shown_.size(), ' ') << '\r' << std::flush;
  shown_.clear();
}

}  // namespace daemonctx
