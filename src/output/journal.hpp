// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>

#include "output/journal_stream.hpp"
#include "posix/unique_fd.hpp"

namespace daemonctx {

/// Opens a stream to the systemd journal. Each line written to it becomes an entry named `identifier`, with
/// the priority of its `<N>` prefix, or `info`.
/// \param path of the socket that journald listens on.
/// \throws DaemonError (`open_stdio`)
UniqueFd open_journal(const std::string& identifier, const std::string& path = std::string(journal_socket));

}  // namespace daemonctx
