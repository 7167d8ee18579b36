// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string_view>
#include <vector>

#include "daemonctx/path.hpp"

namespace daemonctx {

/// The components of `path` without empty ones and ".": {"run", "web"} for "//run/./web/". They point into
/// `path`.
std::vector<std::string_view> components(const Path& path);
std::vector<std::string_view> components(const Path&& path) = delete;

/// The absolute `path` without empty components, "." and a slash at the end. Keeps "..".
Path without_detours(const Path& path);

/// Whether `path` is `directory`, or lies below it. Both paths are as `without_detours` returns them.
bool lies_in(const Path& path, const Path& directory) noexcept;

}  // namespace daemonctx
