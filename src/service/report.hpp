// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>

#include "daemonctx/controller.hpp"

namespace daemonctx {

/// One line for people, without the service's name; the time is local.
std::string to_text(const DaemonStatus& status, const boost::filesystem::path& pidfile);

/// One JSON object for programs; the time is UTC. Unknown members are left out. Invalid UTF-8 is replaced.
std::string to_json(const DaemonStatus& status, const std::string& name,
                    const boost::filesystem::path& pidfile);

}  // namespace daemonctx
