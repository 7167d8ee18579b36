// SPDX-License-Identifier: BSL-1.0
#include "service/report.hpp"

#include <array>
#include <ctime>
#include <nlohmann/json.hpp>

namespace daemonctx {
namespace {

using Time = std::chrono::system_clock::time_point;

std::string format(const Time& time, const char* pattern, std::tm* (*split)(const std::time_t*, std::tm*)) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm parts{};
  split(&seconds, &parts);
  std::array<char, 64> text{};
  return {text.data(), std::strftime(text.data(), text.size(), pattern, &parts)};
}

std::string who(const WorkerStatus& worker) {
  std::string text = "; worker " + std::to_string(worker.incarnation);
  if (worker.since) text += " since " + format(*worker.since, "%F %T", ::localtime_r);
  else text += " has ended, and another is to follow";
  return text + (worker.last_exit ? "; the last one " + describe(*worker.last_exit) : "");
}

std::string who(const DaemonStatus& status) {
  if (status.pid == 0) return ", pid not known";
  std::string text = ", pid " + std::to_string(status.pid);
  if (status.since) text += ", since " + format(*status.since, "%F %T", ::localtime_r);
  return text + (status.worker ? who(*status.worker) : "");
}

long long seconds_since(const Time& time) {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now() - time).count();
}

nlohmann::ordered_json to_object(const WorkerEnd& end) {
  nlohmann::ordered_json object;
  if (end.signal == 0) object["status"] = end.exit_status;
  else object["signal"] = end.signal;
  object["core_dumped"] = end.core_dumped;
  object["hung"] = end.hung;
  object["was_ready"] = end.was_ready;
  object["uptime"] = static_cast<double>(end.uptime.count()) / 1000;
  return object;
}

nlohmann::ordered_json to_object(const WorkerStatus& worker) {
  nlohmann::ordered_json object = {{"incarnation", worker.incarnation}};
  if (worker.since) {
    object["since"] = format(*worker.since, "%FT%TZ", ::gmtime_r);
    object["uptime"] = seconds_since(*worker.since);
  }
  if (worker.last_exit) object["last_exit"] = to_object(*worker.last_exit);
  return object;
}

}  // namespace

std::string to_text(const DaemonStatus& status, const boost::filesystem::path& pidfile) {
  const std::string file = '"' + pidfile.string() + '"';
  switch (status.state) {
    case DaemonState::running:
    case DaemonState::starting:
      return to_string(status.state) + who(status);
    case DaemonState::stale:
      return "dead, and its pidfile " + file + " is still there";
    case DaemonState::unknown:
      return "unknown: this user may not read " + file;
    case DaemonState::stopped:
      break;
  }
  return "not running";
}

std::string to_json(const DaemonStatus& status, const std::string& name,
                    const boost::filesystem::path& pidfile) {
  nlohmann::ordered_json object = {
      {"name", name}, {"state", to_string(status.state)}, {"pidfile", pidfile.string()}};
  if (status.pid != 0) object["pid"] = status.pid;
  if (status.since) {
    object["since"] = format(*status.since, "%FT%TZ", ::gmtime_r);
    object["uptime"] = seconds_since(*status.since);
  }
  if (status.worker) object["worker"] = to_object(*status.worker);
  return object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace daemonctx
