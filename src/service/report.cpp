// SPDX-License-Identifier: BSL-1.0
#include "service/report.hpp"

#include <array>
#include <ctime>
#include <nlohmann/json.hpp>

namespace daemonctx {
namespace {

using Time = std::chrono::system_clock::time_point;

std::string utc(const Time& time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  std::array<char, 64> text{};
  return {text.data(), std::strftime(text.data(), text.size(), "%FT%TZ", &parts)};
}

long long seconds_since(const Time& time) {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now() - time).count();
}

nlohmann::ordered_json to_object(const WorkerEnd& end) {
  nlohmann::ordered_json object;
  if (end.signal == 0) object["exit_code"] = end.exit_code;
  else object["signal"] = end.signal;
  object["core_dumped"] = end.core_dumped;
  object["hung"] = end.hung;
  object["was_ready"] = end.was_ready;
  object["uptime"] = static_cast<double>(end.uptime.count()) / 1000;
  return object;
}

nlohmann::ordered_json to_object(const WorkerStatus& worker) {
  nlohmann::ordered_json object = {{"worker_number", worker.worker_number}};
  if (worker.since) {
    object["since"] = utc(*worker.since);
    object["uptime"] = seconds_since(*worker.since);
  }
  if (worker.silent_for) object["silent_for"] = static_cast<double>(worker.silent_for->count()) / 1000;
  if (worker.last_worker_end) object["last_worker_end"] = to_object(*worker.last_worker_end);
  return object;
}

std::string to_text(const nlohmann::ordered_json& object) {
  return object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

std::string to_json(const DaemonStatus& status, const std::string& name, const Path& pidfile) {
  nlohmann::ordered_json object = {
      {"name", name}, {"state", to_string(status.state)}, {"pidfile", pidfile.native()}};
  if (status.pid != 0) object["pid"] = status.pid;
  if (status.since) {
    object["since"] = utc(*status.since);
    object["uptime"] = seconds_since(*status.since);
  }
  if (status.worker) object["worker"] = to_object(*status.worker);
  if (!status.text.empty()) object["status"] = status.text;
  return to_text(object);
}

std::string to_json(const StopResult& stopped, const std::string& name, const Path& pidfile) {
  nlohmann::ordered_json object = {{"name", name},
                                   {"pidfile", pidfile.native()},
                                   {"pid", stopped.pid},
                                   {"sent_signal", stopped.signal},
                                   {"took", static_cast<double>(stopped.took.count()) / 1000}};
  if (!stopped.end) return to_text(object);
  nlohmann::ordered_json end;
  if (stopped.end->signal == 0) end["exit_code"] = stopped.end->exit_code;
  else end["signal"] = stopped.end->signal;
  end["core_dumped"] = stopped.end->core_dumped;
  object["end"] = end;
  return to_text(object);
}

}  // namespace daemonctx
