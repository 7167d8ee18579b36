// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>

#include "posix/unique_fd.hpp"

namespace daemonctx {

/// Opens a stream to the systemd journal. Each line written to it becomes an entry named `identifier`, with
/// the priority of its `<N>` prefix, or `info`.
/// \throws DaemonError (`open_stdio`)
UniqueFd open_journal(const std::string& identifier);

}  // namespace daemonctx
