// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>

namespace daemonctx {

/// The lowest bits of the lock board's numbers that tell of a reload or an upgrade.
constexpr std::uint64_t changing_bit = 1;  ///< the text that belongs to the number is being changed
constexpr std::uint64_t refused_bit = 2;
constexpr std::uint64_t running_bit = 4;

}  // namespace daemonctx
