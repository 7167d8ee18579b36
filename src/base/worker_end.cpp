// SPDX-License-Identifier: BSL-1.0
#include "daemonctx/respawn_policy.hpp"

#include <iomanip>
#include <sstream>

#include "base/signal_name.hpp"

namespace daemonctx {

int status_of(const WorkerEnd& end) noexcept {
  constexpr int killed_by = 128;
  return end.signal == 0 ? end.exit_status : killed_by + end.signal;
}

std::string describe(const WorkerEnd& end) {
  std::ostringstream text;
  if (end.hung) text << "hung, and ";
  if (end.signal == 0) text << "ended with status " << end.exit_status;
  else text << "was killed by " << posix::signal_name(end.signal);
  if (end.fault_address) text << " at address 0x" << std::hex << *end.fault_address << std::dec;
  if (end.core_dumped) text << " (core dumped)";
  text << " after " << std::fixed << std::setprecision(1) << static_cast<double>(end.uptime.count()) / 1000
       << " s";
  if (!end.was_ready) text << ", before it was ready";
  return text.str();
}

}  // namespace daemonctx
