// SPDX-License-Identifier: BSL-1.0
#include <array>
#include <ctime>

#include "base/signal_name.hpp"
#include "daemonctx/controller.hpp"

namespace daemonctx {
namespace {

std::string local_time(std::chrono::system_clock::time_point time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm parts{};
  ::localtime_r(&seconds, &parts);
  std::array<char, 64> text{};
  return {text.data(), std::strftime(text.data(), text.size(), "%F %T", &parts)};
}

std::string seconds(std::chrono::milliseconds time) { return std::to_string(time.count() / 1000) + " s"; }

std::string text_of(const WorkerStatus& worker) {
  std::string text = "; worker " + std::to_string(worker.worker_number);
  if (worker.since) text += " since " + local_time(*worker.since);
  else text += " has ended, and another is to follow";
  if (worker.silent_for) text += ", last sign of life " + seconds(*worker.silent_for) + " ago";
  return text + (worker.last_worker_end ? "; the last one " + to_string(*worker.last_worker_end) : "");
}

std::string text_of(const DaemonStatus& status) {
  if (status.pid == 0) return ", pid not known";
  std::string text = ", pid " + std::to_string(status.pid);
  if (status.since) text += ", since " + local_time(*status.since);
  if (status.worker) text += text_of(*status.worker);
  return status.text.empty() ? text : text + "; " + status.text;
}

}  // namespace

const char* to_string(DaemonState state) noexcept {
  constexpr auto names = std::to_array({"running", "starting", "stopping", "stopped", "stale", "unknown"});
  return names.at(static_cast<std::size_t>(state));
}

std::string to_string(const DaemonStatus& status, const Path& pidfile) {
  const std::string file = '"' + pidfile.native() + '"';
  switch (status.state) {
    case DaemonState::running:
    case DaemonState::starting:
    case DaemonState::stopping:
      return to_string(status.state) + text_of(status);
    case DaemonState::stale:
      return "dead, and its pidfile " + file + " is still there; a start takes it over";
    case DaemonState::unknown:
      return "unknown: this user may not read " + file + ", or it can't be trusted";
    case DaemonState::stopped:
      break;
  }
  return pidfile.is_absolute() ? "not running" : "not running; " + file + " is a pidfile in this directory";
}

std::string to_string(const DaemonEnd& end) {
  if (end.signal == 0) return "exited with code " + std::to_string(end.exit_code);
  return "was killed by " + posix::signal_name(end.signal) + (end.core_dumped ? " (core dumped)" : "");
}

int exit_code_of(DaemonState state) noexcept {
  constexpr auto codes = std::to_array({0, 0, 0, 3, 1, 4});
  return codes.at(static_cast<std::size_t>(state));
}

}  // namespace daemonctx
