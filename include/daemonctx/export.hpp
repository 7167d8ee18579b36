// SPDX-License-Identifier: BSL-1.0
#pragma once

#if __cplusplus < 202002L
#error "daemonctx needs C++20: compile with -std=c++20 (CMake: cxx_std_20, Meson: cpp_std=c++20)"
#endif

/// Marks what the shared library shows; everything else is hidden.
#define DAEMONCTX_EXPORT [[gnu::visibility("default")]]
