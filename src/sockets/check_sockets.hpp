// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <vector>

#include "daemonctx/socket.hpp"

namespace daemonctx {

/// Checks `DaemonOptions::sockets`, each alone and their names together.
/// \throws std::invalid_argument, naming the member and the reason.
void check_sockets(const std::vector<ListenSocket>& sockets);

}  // namespace daemonctx
