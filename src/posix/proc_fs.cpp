// SPDX-License-Identifier: BSL-1.0
#include "posix/proc_fs.hpp"

#include <dirent.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <posix/syscalls.hpp>

#include "posix/retry.hpp"
#include "posix/unique_fd.hpp"

namespace daemonctx::posix {
namespace {

// Of a daemon's descriptors the pidfile's is one of the first.
constexpr int most_looks = 65536;

struct CloseDirectory {
  void operator()(DIR* directory) const noexcept { ::closedir(directory); }
};

std::array<char, 32> path_of(pid_t pid, const char* what) noexcept {
  std::array<char, 32> path{};
  if (std::snprintf(path.data(), path.size(), "/proc/%d/%s", static_cast<int>(pid), what) < 0) path[0] = '\0';
  return path;
}

// What is known of the file already must do: the process may have files open whose server never answers.
bool look(int directory, const char* name, int flags, struct statx& found) noexcept {
  return posix::statx(directory, name, flags | AT_STATX_DONT_SYNC, STATX_INO, &found) == 0;
}

bool is_same(const struct statx& one, const struct statx& other) noexcept {
  return one.stx_ino == other.stx_ino && one.stx_dev_major == other.stx_dev_major &&
         one.stx_dev_minor == other.stx_dev_minor;
}

}  // namespace

bool shows_this_namespace() noexcept {
  std::array<char, 16> shown{};
  const auto size = posix::readlinkat(AT_FDCWD, "/proc/self", shown.data(), shown.size() - 1);
  return size > 0 && std::strtol(shown.data(), nullptr, 10) == posix::getpid();
}

std::optional<bool> has_open(pid_t pid, int fd) noexcept {
  if (!shows_this_namespace()) return {};
  const std::unique_ptr<DIR, CloseDirectory> entries(::opendir(path_of(pid, "fd").data()));
  struct statx wanted {};
  if (!entries || !look(fd, "", AT_EMPTY_PATH, wanted)) return {};
  bool hidden = false;
  int looks = 0;
  errno = 0;
  for (const dirent* entry = nullptr; (entry = ::readdir(entries.get())) != nullptr && looks < most_looks;
       ++looks) {
    struct statx found {};
    const bool seen = look(::dirfd(entries.get()), entry->d_name, 0, found);
    if (seen && is_same(found, wanted)) return true;
    hidden = hidden || (!seen && (errno == EACCES || errno == EPERM));
    errno = 0;
  }
  if (errno != 0 || hidden) return {};
  return false;
}

std::optional<uid_t> real_user_of(pid_t pid) noexcept {
  if (!shows_this_namespace()) return {};
  const UniqueFd file(
      posix::retry([&] { return posix::open(path_of(pid, "status").data(), O_RDONLY | O_CLOEXEC); }));
  std::array<char, 4096> text{};
  if (!file || posix::read(file.get(), text.data(), text.size() - 1) <= 0) return {};
  // A name can't forge it: line ends in it are shown as backslash and n.
  const char* const at = std::strstr(text.data(), "\nUid:\t");
  if (at == nullptr) return {};
  return static_cast<uid_t>(std::strtoul(at + std::strlen("\nUid:\t"), nullptr, 10));
}

}  // namespace daemonctx::posix
