// SPDX-License-Identifier: BSL-1.0
#include "service/waiting_display.hpp"

#include <unistd.h>

#include <array>
#include <cstdio>
#include <iostream>

namespace daemonctx {

WaitingDisplay::WaitingDisplay(std::string text) : text_(std::move(text)), owner_(::getpid()) {}

Progress WaitingDisplay::progress() {
  if (::isatty(STDERR_FILENO) == 0) return {};
  return [this](std::chrono::milliseconds passed) { show(passed); };
}

void WaitingDisplay::show(std::chrono::milliseconds passed) {
  std::array<char, 32> time;
  std::snprintf(time.data(), time.size(), ", %.1f s", static_cast<double>(passed.count()) / 1000);
  shown_ = text_ + time.data();
  std::cerr << '\r' << shown_ << std::flush;
}

void WaitingDisplay::clear() noexcept {
  if (shown_.empty() || owner_ != ::getpid()) return;
  std::cerr << '\r' << std::string(shown_.size(), ' ') << '\r' << std::flush;
  shown_.clear();
}

}  // namespace daemonctx
