// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>
#include <vector>

#include "daemonctx/service_manager.hpp"

namespace daemonctx {

/// Takes over the descriptors that a manager passed, as sd_listen_fds(3) describes: from 3 on. They become
/// close-on-exec.
/// \param count, names $LISTEN_FDS and $LISTEN_FDNAMES.
/// \throws std::runtime_error where they don't tell the truth.
std::vector<ListenDescriptor> take_over_descriptors(const std::string& count, const std::string& names);

}  // namespace daemonctx
