// SPDX-License-Identifier: BSL-1.0
#pragma once

// Replaces src/posix/syscalls.hpp for the readers of /proc: they open what the fuzzer gives them.

#include "../../../../src/posix/syscalls.hpp"
#include "../../proc_calls.hpp"

namespace daemonctx::posix {
using fuzz::open_proc;
}  // namespace daemonctx::posix

using fuzz::open_proc_directory;

#define open open_proc
#define opendir open_proc_directory
