// SPDX-License-Identifier: BSL-1.0
#include "crash/modules.hpp"

#include <elf.h>
#include <fcntl.h>
#include <link.h>

#include <array>
#include <charconv>
#include <cstring>
#include <posix/syscalls.hpp>
#include <span>
#include <string_view>
#include <system_error>
#include <utility>

namespace daemonctx {
namespace {

// Notes are padded to words of four bytes.
constexpr std::size_t padded(std::size_t size) noexcept { return (size + 3) / 4 * 4; }

std::string build_id_in(const unsigned char* notes, std::size_t size) {
  constexpr std::array gnu{'G', 'N', 'U', '\0'};
  while (size >= sizeof(ElfW(Nhdr))) {
    ElfW(Nhdr) header;
    std::memcpy(&header, notes, sizeof header);
    const unsigned char* const name = notes + sizeof header;
    const unsigned char* const content = name + padded(header.n_namesz);
    const std::size_t whole = sizeof header + padded(header.n_namesz) + padded(header.n_descsz);
    if (whole > size) return {};
    const bool is_gnu = header.n_namesz == gnu.size() && std::memcmp(name, gnu.data(), gnu.size()) == 0;
    if (is_gnu && header.n_type == NT_GNU_BUILD_ID) return to_hex(content, header.n_descsz);
    notes += whole;
    size -= whole;
  }
  return {};
}

// The main program has no name in the list of modules.
std::string path_of(const dl_phdr_info& info) {
  if (info.dlpi_name != nullptr && *info.dlpi_name != '\0') return info.dlpi_name;
  std::array<char, 4096> path{};
  const auto size = posix::readlinkat(AT_FDCWD, "/proc/self/exe", path.data(), path.size());
  return {path.data(), static_cast<std::size_t>(size > 0 ? size : 0)};
}

std::string contents(const char* path) {
  const UniqueFd file(posix::open(path, O_RDONLY | O_CLOEXEC));
  std::string text;
  std::array<char, 4096> some{};
  for (ssize_t size = 0; (size = posix::read(file.get(), some.data(), some.size())) > 0;)
    text.append(some.data(), static_cast<std::size_t>(size));
  return text;
}

// The link in /proc/self/map_files of a line in /proc/self/maps, which begins with the range:
// "7f54ebd6a000-7f54ebe2f000 r-xp ...". Empty if the range does not hold the address.
std::string link_of(std::string_view line, std::uintptr_t address) {
  constexpr int hexadecimal = 16;
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;
  const auto dash = std::from_chars(line.data(), line.data() + line.size(), begin, hexadecimal);
  if (dash.ec != std::errc() || dash.ptr == line.data() + line.size()) return {};
  const auto blank = std::from_chars(dash.ptr + 1, line.data() + line.size(), end, hexadecimal);
  if (blank.ec != std::errc() || address < begin || address >= end) return {};
  return "/proc/self/map_files/" + to_hex(begin) + '-' + to_hex(end);  // without leading zeros
}

// The kernel's link to the mapping; only root may follow it.
UniqueFd open_mapping(const std::string& maps, std::uintptr_t address) {
  for (std::size_t at = 0; at < maps.size(); at = maps.find('\n', at) + 1) {
    const std::string_view line = std::string_view(maps).substr(at, maps.find('\n', at) - at);
    const std::string link = link_of(line, address);
    if (link.empty()) continue;
    return UniqueFd(posix::open(link.c_str(), O_RDONLY | O_CLOEXEC));
  }
  return {};
}

struct Modules {
  std::string maps = contents("/proc/self/maps");
  std::vector<Module> found = {};
};

const unsigned char* memory_at(std::uintptr_t address) noexcept {
  return reinterpret_cast<const unsigned char*>(address);  // NOLINT(performance-no-int-to-ptr)
}

int add_module(dl_phdr_info* info, std::size_t, void* list) {
  auto& modules = *static_cast<Modules*>(list);
  Module module{path_of(*info), info->dlpi_addr, {}, {}};
  std::uintptr_t code = 0;
  for (const auto& header : std::span(info->dlpi_phdr, info->dlpi_phnum)) {
    const std::uintptr_t address = info->dlpi_addr + header.p_vaddr;
    if (header.p_type == PT_LOAD && (header.p_flags & PF_X) != 0) code = address;
    if (header.p_type == PT_NOTE && module.build_id.empty())
      module.build_id = build_id_in(memory_at(address), header.p_memsz);
  }
  module.file = open_mapping(modules.maps, code);
  const bool is_file = module.path.starts_with('/');  // the kernel's own module is none
  if (!module.file && is_file) module.file.reset(posix::open(module.path.c_str(), O_RDONLY | O_CLOEXEC));
  modules.found.push_back(std::move(module));
  return 0;
}

}  // namespace

std::string to_hex(std::uint64_t number) {
  constexpr int hexadecimal = 16;
  std::array<char, 16> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number, hexadecimal);
  return {digits.data(), end.ptr};
}

std::string to_hex(const unsigned char* bytes, std::size_t size) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text;
  for (const unsigned char byte : std::span(bytes, size)) {
    text += digits[byte / 16];
    text += digits[byte % 16];
  }
  return text;
}

std::vector<Module> open_modules() {
  Modules modules;
  ::dl_iterate_phdr(add_module, &modules);
  return std::move(modules.found);
}

}  // namespace daemonctx
