// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "daemonctx/service_manager.hpp"

namespace daemonctx {

/// Whether a service manager accepts this name for a descriptor: 1 to 255 printable ASCII characters, without
/// ':'.
bool is_descriptor_name(std::string_view name) noexcept;

/// Whether a manager's list of names ($LISTEN_FDNAMES) has this one.
bool has_name(std::string_view names, std::string_view name) noexcept;

/// Takes over the descriptors from 3 on that a service manager passed, as sd_listen_fds(3) describes. Makes
/// them close-on-exec.
/// \param count, names $LISTEN_FDS and $LISTEN_FDNAMES.
/// \throws std::runtime_error if `count` is no number of descriptors, or a descriptor is not open.
std::vector<ListenDescriptor> take_over_descriptors(const std::string& count, const std::string& names);

}  // namespace daemonctx
