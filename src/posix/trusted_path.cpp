// SPDX-License-Identifier: BSL-1.0
#include "posix/trusted_path.hpp"

#include <algorithm>
#include <array>
#include <climits>
#include <cstring>
#include <posix/syscalls.hpp>

#include "posix/retry.hpp"
#include "posix/trust.hpp"

namespace daemonctx::posix {
namespace {

constexpr int searched = O_PATH | O_DIRECTORY | O_CLOEXEC;

UniqueFd open_to_search(int directory, const char* name, int flags) noexcept {
  return UniqueFd(posix::retry([=] { return posix::openat(directory, name, searched | flags); }));
}

UniqueFd enter(const UniqueFd& directory, const char* name) noexcept {
  UniqueFd entered = open_to_search(directory.get(), name, O_NOFOLLOW);
  if (entered || errno != ENOTDIR) return entered;
  struct stat found {};
  const bool is_link =
      posix::fstatat(directory.get(), name, &found, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(found.st_mode);
  if (is_link && is_trusted_link(directory, name)) {
    entered = open_to_search(directory.get(), name, 0);
  } else {
    errno = is_link ? ELOOP : ENOTDIR;
  }
  return entered;
}

}  // namespace

const char* name_of(const char* path) noexcept {
  const char* slash = std::strrchr(path, '/');
  return slash == nullptr ? path : slash + 1;
}

UniqueFd open_directory_of(const char* path) noexcept {
  UniqueFd directory = open_to_search(AT_FDCWD, *path == '/' ? "/" : ".", 0);
  const char* const last = name_of(path);
  std::array<char, NAME_MAX + 1> name;
  while (directory && path != last) {
    const char* const slash = std::strchr(path, '/');
    const auto size = static_cast<std::size_t>(slash - path);
    if (size >= name.size()) {
      errno = ENAMETOOLONG;
      return {};
    }
    *std::copy(path, slash, name.begin()) = '\0';
    if (size > 0) directory = enter(directory, name.data());
    path = slash + 1;
  }
  return directory;
}

}  // namespace daemonctx::posix
