// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "posix/unique_fd.hpp"

namespace daemonctx {

/// An ELF file that this process has mapped.
struct Module {
  std::string path;         ///< for people: the file itself may be gone, or another one by now
  std::uintptr_t bias = 0;  ///< added to the addresses in the file
  std::string build_id;     ///< of the mapped module, in hexadecimal digits; empty if it has none
  UniqueFd file;            ///< empty if it can't be opened
};

/// All modules of this process, opened where that is possible. Root opens what is mapped even if its path
/// leads elsewhere by now.
std::vector<Module> open_modules();

/// "3f2a".
std::string to_hex(std::uint64_t number);
std::string to_hex(const unsigned char* bytes, std::size_t size);

}  // namespace daemonctx
