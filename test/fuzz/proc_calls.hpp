// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <dirent.h>

namespace fuzz {

// In place of open(2) and opendir(3) in the readers of /proc. fuzz_proc.cpp defines them.
int open_proc(const char* path, int flags) noexcept;
DIR* open_proc_directory(const char* path) noexcept;

}  // namespace fuzz
