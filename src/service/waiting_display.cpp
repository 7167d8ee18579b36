// SPDX-License-Identifier: BSL-1.0
#include "service/waiting_display.hpp"

#include <unistd.h>

#include <iomanip>
#include <iostream>
#include <sstream>

namespace daemonctx {

WaitingDisplay::WaitingDisplay(std::string text) : text_(std::move(text)), owner_(::getpid()) {}

Progress WaitingDisplay::progress() {
  if (::isatty(STDERR_FILENO) == 0) return {};
  return [this](std::chrono::milliseconds passed) { show(passed); };
}

void WaitingDisplay::show(std::chrono::milliseconds passed) {
  std::ostringstream text;
  text << text_ << ", " << std::fixed << std::setprecision(1) << std::chrono::duration<double>(passed).count()
       << " s";
  shown_ = text.str();
  std::cerr << '\r' << shown_ << std::flush;
}

void WaitingDisplay::clear() noexcept {
  if (shown_.empty() || owner_ != ::getpid()) return;
  std::cerr << '\r' << std::string(shown_.size(), ' ') << '\r' << std::flush;
  shown_.clear();
}

}  // namespace daemonctx
