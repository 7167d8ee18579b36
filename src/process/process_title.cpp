// SPDX-License-Identifier: BSL-1.0
#include "process/process_title.hpp"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <posix/syscalls.hpp>

#include "base/one_line.hpp"
#include "posix/unique_fd.hpp"

namespace daemonctx::process {
namespace {

struct Arguments {
  char* begin = nullptr;
  std::size_t size = 0;
};

// Once a title has been set, the arguments can't be found by the name of the program any more.
constinit Arguments arguments_of_process;

// The name of the program lies in the arguments. Messages go on to begin with it.
void keep_program_name() noexcept {
  char* const copy = ::strdup(::program_invocation_name);
  if (copy == nullptr) return;
  ::program_invocation_short_name = copy + (::program_invocation_short_name - ::program_invocation_name);
  ::program_invocation_name = copy;
}

// Fields 48 and 49 of /proc/self/stat are the ends of the memory of the arguments (proc(5)).
Arguments find_arguments() noexcept {
  std::array<char, 2048> text{};
  const UniqueFd file(posix::open("/proc/self/stat", O_RDONLY | O_CLOEXEC));
  if (!file || posix::read(file.get(), text.data(), text.size() - 1) <= 0) return {};
  const char* at = std::strrchr(text.data(), ')');
  constexpr int fields = 46;  // from the second field, the name, to the 48th
  for (int field = 0; field < fields && at != nullptr; ++field) at = std::strchr(at + 1, ' ');
  if (at == nullptr) return {};
  char* rest = nullptr;
  const std::uintptr_t begin = std::strtoul(at, &rest, 10);
  const std::uintptr_t end = std::strtoul(rest, nullptr, 10);
  const auto own = reinterpret_cast<std::uintptr_t>(::program_invocation_name);
  if (own < begin || own >= end) return {};              // of an emulator
  return {reinterpret_cast<char*>(begin), end - begin};  // NOLINT(performance-no-int-to-ptr)
}

}  // namespace

ProcessTitle::ProcessTitle(const std::string& title)
    : name_(title.empty() ? ::program_invocation_short_name : title) {
  if (title.empty()) return;
  if (arguments_of_process.size == 0) {
    arguments_of_process = find_arguments();
    if (arguments_of_process.size != 0) keep_program_name();
  }
  arguments_ = arguments_of_process.begin;
  size_ = arguments_of_process.size;
}

void ProcessTitle::set(std::string_view role) const noexcept {
  std::array<char, 256> text{};
  const std::string_view separator = role.empty() ? "" : ": ";
  std::size_t size = 0;
  for (const std::string_view part : {std::string_view(name_), separator, role})
    size += part.copy(text.data() + size, text.size() - 1 - size);
  posix::prctl(PR_SET_NAME, text.data(), 0UL, 0UL, 0UL);
  if (size_ == 0) return;
  const std::string_view kept = cut({text.data(), size}, size_ - 1);
  std::fill_n(std::copy(kept.begin(), kept.end(), arguments_), size_ - kept.size(), '\0');
}

}  // namespace daemonctx::process
