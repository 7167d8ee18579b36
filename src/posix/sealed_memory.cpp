// SPDX-License-Identifier: BSL-1.0
#include "posix/sealed_memory.hpp"

#include <cerrno>
#include <posix/syscalls.hpp>
#include <stdexcept>
#include <system_error>

#include "posix/retry.hpp"

namespace daemonctx::posix {
namespace {

constexpr int all_seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;

[[noreturn]] void fail(int error) {
  throw std::system_error(error, std::generic_category(), "cannot keep the bytes");
}

}  // namespace

UniqueFd sealed_memory(std::string_view bytes) {
  if (bytes.size() > most_sealed_bytes) throw std::length_error("the bytes to keep are more than 4 MiB");
  UniqueFd file(posix::memfd_create("daemonctx", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file) fail(errno);
  while (!bytes.empty()) {
    const auto count = posix::retry([&] { return posix::write(file.get(), bytes.data(), bytes.size()); });
    if (count == -1) fail(errno);
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
  if (posix::fcntl(file.get(), F_ADD_SEALS, all_seals) == -1) fail(errno);
  return file;
}

// Only files in memory have seals.
bool is_sealed_memory(const UniqueFd& file) noexcept {
  const int seals = file ? posix::fcntl(file.get(), F_GET_SEALS) : -1;
  struct stat found {};
  if (seals == -1 || (seals & all_seals) != all_seals || posix::fstat(file.get(), &found) == -1) return false;
  return found.st_size <= static_cast<off_t>(most_sealed_bytes);
}

std::string bytes_of(const UniqueFd& sealed_memory) {
  struct stat found {};
  if (posix::fstat(sealed_memory.get(), &found) == -1) fail(errno);
  std::string bytes(static_cast<std::size_t>(found.st_size), '\0');
  for (std::size_t done = 0; done < bytes.size();) {
    const auto count = posix::retry([&] {
      return posix::pread(sealed_memory.get(), &bytes[done], bytes.size() - done, static_cast<off_t>(done));
    });
    if (count == -1) fail(errno);
    if (count == 0) fail(EIO);
    done += static_cast<std::size_t>(count);
  }
  return bytes;
}

}  // namespace daemonctx::posix
