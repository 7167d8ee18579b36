// SPDX-License-Identifier: BSL-1.0
#include "daemonctx/respawn_policy.hpp"

#include "base/number.hpp"
#include "base/signal_name.hpp"

namespace daemonctx {

int exit_code_of(const WorkerEnd& end) noexcept {
  constexpr int killed_by = 128;
  return end.signal == 0 ? end.exit_code : killed_by + end.signal;
}

std::string to_string(const WorkerEnd& end) {
  std::string text = end.hung ? "hung, and " : "";
  if (end.signal == 0) text += "exited with code " + std::to_string(end.exit_code);
  else text += "was killed by " + posix::signal_name(end.signal);
  if (end.fault_address) text += " at address 0x" + to_digits(*end.fault_address, 16);
  if (end.core_dumped) text += " (core dumped)";
  text += " after " + to_seconds(end.uptime);
  return text + (end.was_ready ? "" : ", before it was ready");
}

}  // namespace daemonctx
