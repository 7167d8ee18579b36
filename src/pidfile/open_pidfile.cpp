// SPDX-License-Identifier: BSL-1.0
#include "pidfile/open_pidfile.hpp"

#include <array>
#include <posix/syscalls.hpp>
#include <string_view>

#include "posix/retry.hpp"

namespace daemonctx {
namespace {

void check_properties(const Path& path, const struct stat& file) {
  if (!S_ISREG(file.st_mode)) throw unusable_pidfile(path, "it is not a regular file");
  if (file.st_uid != ::geteuid() && file.st_uid != 0) {
    throw unusable_pidfile(path, "it belongs to another user (uid " + std::to_string(file.st_uid) + ")");
  }
  if ((file.st_mode & (S_IWGRP | S_IWOTH)) != 0) throw unusable_pidfile(path, "others may write it");
  if (file.st_nlink > 1) throw unusable_pidfile(path, "it has more than one link");
}

// A mistyped path must not cost a file its text.
void check_text(const Path& path, const UniqueFd& fd) {
  std::array<char, 64> text;
  const auto size = posix::retry([&] { return posix::pread(fd.get(), text.data(), text.size(), 0); });
  if (size == -1) throw DaemonError(Step::open_pidfile, posix::last_error(), path.native());
  const std::string_view found(text.data(), static_cast<std::size_t>(size));
  constexpr std::string_view expected("0123456789 \t\r\n\0", 15);
  const bool is_number =
      found.size() < text.size() && found.find_first_not_of(expected) == std::string_view::npos;
  if (!is_number)
    throw unusable_pidfile(path,
                           "it holds more than a number, so it is no pidfile; remove it or name another");
}

// Needed beside ELOOP: in a directory for all, the kernel refuses symbolic links of other users with a
// permission error. Leaves errno alone.
bool is_link(const posix::DirectoryEntry& entry) noexcept {
  const int error = errno;
  struct stat found {};
  const bool is =
      posix::fstatat(entry.directory.get(), entry.name.data(), &found, AT_SYMLINK_NOFOLLOW) == 0 &&
      S_ISLNK(found.st_mode);
  errno = error;
  return is;
}

UniqueFd open_at(const posix::DirectoryEntry& entry, int flags, mode_t mode) {
  // O_NONBLOCK: a FIFO must not block the start before `check` refuses the FIFO.
  flags |= O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
  return UniqueFd(
      posix::retry([&] { return posix::openat(entry.directory.get(), entry.name.data(), flags, mode); }));
}

}  // namespace

DaemonError unusable_pidfile(const Path& path, const std::string& why) {
  return {Step::open_pidfile, std::make_error_code(std::errc::operation_not_permitted), path.native(),
          "cannot use the pidfile \"" + path.native() + "\": " + why};
}

posix::DirectoryEntry find_pidfile(const Path& path) {
  posix::DirectoryEntry entry;
  const int error = posix::find_entry(path.c_str(), posix::LastComponent::keep, entry);
  if (error == ELOOP)
    throw unusable_pidfile(path, "a symbolic link on the way to it could have been put there by others");
  if (error != 0) throw DaemonError(Step::open_pidfile, {error, std::generic_category()}, path.native());
  if (entry.name[0] == '\0') throw unusable_pidfile(path, "it is a directory");
  return entry;
}

void check_pidfile(const posix::DirectoryEntry& entry, const Path& path, const UniqueFd& fd) {
  if (!fd && (errno == ELOOP || is_link(entry))) throw unusable_pidfile(path, "it is a symbolic link");
  struct stat file {};
  if (!fd || posix::fstat(fd.get(), &file) == -1) {
    throw DaemonError(Step::open_pidfile, posix::last_error(), path.native());
  }
  check_properties(path, file);
  check_text(path, fd);
}

UniqueFd open_pidfile(const posix::DirectoryEntry& entry, const Path& path) {
  UniqueFd fd = open_at(entry, 0, 0);
  check_pidfile(entry, path, fd);
  return fd;
}

UniqueFd open_or_create_pidfile(const posix::DirectoryEntry& entry, mode_t mode, bool& is_new) noexcept {
  UniqueFd fd = open_at(entry, O_CREAT | O_EXCL, mode);
  is_new = bool(fd);
  if (!fd && errno == EEXIST) fd = open_at(entry, 0, 0);
  if (!fd && errno == ENOENT) fd = open_at(entry, O_CREAT, mode);  // it has just been removed
  return fd;
}

bool leads_to(int directory, const char* name, int fd) noexcept {
  struct stat by_name {};
  struct stat by_descriptor {};
  return posix::fstatat(directory, name, &by_name, AT_SYMLINK_NOFOLLOW) == 0 &&
         posix::fstat(fd, &by_descriptor) == 0 && by_name.st_dev == by_descriptor.st_dev &&
         by_name.st_ino == by_descriptor.st_ino;
}

}  // namespace daemonctx
