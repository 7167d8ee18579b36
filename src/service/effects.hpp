// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string_view>

namespace daemonctx {

/// Whether an option on the command line has an effect on an action of `Service`. A program's own actions get
/// all values, and may use all settings, --json and --verbose.
/// \param is_setting whether the configuration file may give the option, too.
bool has_effect(std::string_view option, std::string_view action, bool is_added_action, bool is_setting);

}  // namespace daemonctx
