// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>

#include "posix/unique_fd.hpp"

namespace daemonctx {

/// A stream to the systemd journal: each line that is written to it is an entry of this name, with the
/// priority of its `<N>` prefix, or `info`.
/// \throws DaemonError (`open_stdio`)
UniqueFd open_journal(const std::string& identifier);

}  // namespace daemonctx
