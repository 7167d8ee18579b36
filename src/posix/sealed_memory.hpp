// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>
#include <string_view>

#include "posix/unique_fd.hpp"

namespace daemonctx::posix {

constexpr std::size_t most_sealed_bytes = std::size_t{4} << 20U;

/// A file in memory that nobody can change any more; see memfd_create(2). It passes bytes from a worker to
/// its monitor, which need not read them.
/// \throws std::length_error if there are more than `most_sealed_bytes`; std::system_error
UniqueFd sealed_memory(std::string_view bytes);

/// Whether a file is sealed memory, with at most `most_sealed_bytes`.
bool is_sealed_memory(const UniqueFd& file) noexcept;

/// \throws std::system_error
std::string bytes_of(const UniqueFd& sealed_memory);

}  // namespace daemonctx::posix
