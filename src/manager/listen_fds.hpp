// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>
#include <vector>

#include "daemonctx/service_manager.hpp"

namespace daemonctx {

/// Takes over the descriptors from 3 on that a service manager passed, as sd_listen_fds(3) describes. Makes
/// them close-on-exec.
/// \param count, names $LISTEN_FDS and $LISTEN_FDNAMES.
/// \throws std::runtime_error if `count` is no number of descriptors, or a descriptor is not open.
std::vector<ListenDescriptor> take_over_descriptors(const std::string& count, const std::string& names);

}  // namespace daemonctx
