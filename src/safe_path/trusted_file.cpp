// SPDX-License-Identifier: BSL-1.0
#include "safe_path/trusted_file.hpp"

#include "posix/retry.hpp"
#include "safe_path/directory_trust.hpp"
#include "safe_path/trusted_path.hpp"

namespace daemonctx::posix {
namespace {

UniqueFd refuse(int error) noexcept {
  errno = error;
  return {};
}

// From a directory up to the root: only root and this user can move an entry away.
bool is_guarded_up(const UniqueFd& directory) noexcept {
  constexpr int flags = O_PATH | O_DIRECTORY | O_CLOEXEC;
  UniqueFd here(posix::retry([&] { return posix::openat(directory.get(), ".", flags); }));
  for (;;) {
    struct stat found {};
    struct stat above {};
    if (!here || posix::fstat(here.get(), &found) == -1 || !is_guarded(found)) return false;
    UniqueFd parent(posix::retry([&] { return posix::openat(here.get(), "..", flags); }));
    if (!parent || posix::fstat(parent.get(), &above) == -1) return false;
    if (above.st_ino == found.st_ino && above.st_dev == found.st_dev) return true;
    here = std::move(parent);
  }
}

}  // namespace

// O_NONBLOCK: a FIFO must not hold this process up.
UniqueFd open_trusted_file(const Path& path) noexcept {
  DirectoryEntry entry;
  if (const int error = find_entry(path.c_str(), LastComponent::follow, entry)) return refuse(error);
  struct stat directory {};
  if (posix::fstat(entry.directory.get(), &directory) == -1) return {};
  if (!is_trusted(directory.st_uid) || (directory.st_mode & (S_IWGRP | S_IWOTH)) != 0) return refuse(EPERM);
  if (!is_guarded_up(entry.directory)) return refuse(EPERM);
  constexpr int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW;
  UniqueFd file(posix::retry([&] { return posix::openat(entry.directory.get(), entry.name.data(), flags); }));
  struct stat found {};
  if (!file || posix::fstat(file.get(), &found) == -1) return {};
  if (S_ISREG(found.st_mode)) return file;
  return refuse(S_ISDIR(found.st_mode) ? EISDIR : ENODEV);
}

}  // namespace daemonctx::posix
