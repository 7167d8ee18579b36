// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>

#include "daemonctx/controller.hpp"

namespace daemonctx {

/// One JSON object for programs; the time is UTC. Unknown members are left out. Invalid UTF-8 is replaced.
std::string to_json(const DaemonStatus& status, const std::string& name, const Path& pidfile);
std::string to_json(const StopResult& stopped, const std::string& name, const Path& pidfile);

}  // namespace daemonctx
