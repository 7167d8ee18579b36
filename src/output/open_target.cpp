// SPDX-License-Identifier: BSL-1.0
#include "output/open_target.hpp"

#include <posix/syscalls.hpp>

#include "posix/retry.hpp"
#include "safe_path/directory_trust.hpp"

namespace daemonctx {
namespace {

DaemonError unsafe(const Path& path, const std::string& why) {
  return {Step::open_stdio, std::make_error_code(std::errc::operation_not_permitted), path.native(),
          "cannot use the file \"" + path.native() + "\": " + why};
}

// Refuses a file, FIFO or hard link of another user that would divert the output. A hard link where nobody
// else can make one is accepted: it may be a backup's. A FIFO that its owner does not read would block the
// monitor for ever.
void check_origin(const posix::DirectoryEntry& found, const Path& path, const UniqueFd& fd,
                  std::optional<uid_t> user, bool writes) {
  struct stat file {};
  struct stat directory {};
  if (posix::fstat(fd.get(), &file) == -1 || posix::fstat(found.directory.get(), &directory) == -1) {
    throw cannot_open(path.native());
  }
  if (!S_ISREG(file.st_mode) && !S_ISFIFO(file.st_mode)) return;
  const bool others_write = (directory.st_mode & (S_IWGRP | S_IWOTH)) != 0;
  const bool is_trusted = posix::is_trusted(file.st_uid);
  const bool is_strange = !is_trusted && file.st_uid != directory.st_uid && file.st_uid != user;
  const std::string whose = "another user (uid " + std::to_string(file.st_uid) + ")";
  if (is_strange && others_write) throw unsafe(path, "it belongs to " + whose);
  const bool is_guarded = posix::is_trusted(directory.st_uid) && !others_write;
  if (writes && S_ISFIFO(file.st_mode) && !is_trusted && !is_guarded) {
    throw unsafe(path, "it is a FIFO of " + whose);
  }
  if (file.st_nlink < 2 || (posix::is_guarded(directory) && (directory.st_mode & S_IWOTH) == 0)) return;
  if (!is_trusted && file.st_uid == directory.st_uid) return;  // the user's own file and directory
  throw unsafe(path, "it has more than one link, and others could have made them");
}

// In this order: a change of the owner may take bits from the mode.
int give(int fd, std::optional<FileOwner> owner, mode_t mode) noexcept {
  if (owner && posix::fchown(fd, owner->uid, owner->gid) == -1) return -1;
  return posix::fchmod(fd, mode);
}

// A new file gets exactly `owner` and `mode`; an existing file keeps its own.
UniqueFd open_or_create(const posix::DirectoryEntry& entry, int flags, std::optional<FileOwner> owner,
                        mode_t mode, bool& is_new) {
  constexpr int most_attempts = 10;  // another process may create or remove the file in between
  const int directory = entry.directory.get();
  const char* const name = entry.name.data();
  UniqueFd fd;
  for (int attempt = 0; attempt < most_attempts; ++attempt) {
    fd.reset(posix::retry([&] { return posix::openat(directory, name, flags); }));
    if (fd || errno != ENOENT) return fd;
    fd.reset(posix::retry([&] { return posix::openat(directory, name, flags | O_CREAT | O_EXCL, mode); }));
    is_new = bool(fd);
    if (fd && give(fd.get(), owner, mode) == -1) {
      const int error = errno;
      posix::unlinkat(directory, name, 0);
      fd.reset();
      errno = error;
    }
    if (fd || errno != EEXIST) return fd;
  }
  return fd;
}

}  // namespace

DaemonError cannot_open(const std::string& name) { return {Step::open_stdio, posix::last_error(), name}; }

// A broken root directory may have a file in place of /dev/null, which would be filled and read. Sets errno.
bool is_device(int fd) noexcept {
  struct stat found {};
  if (posix::fstat(fd, &found) == -1) return false;
  if (!S_ISCHR(found.st_mode)) errno = ENODEV;
  return S_ISCHR(found.st_mode);
}

UniqueFd open_null_device() {
  UniqueFd fd(posix::retry([] { return posix::open("/dev/null", O_RDWR | O_CLOEXEC | O_NOCTTY); }));
  if (!fd || !is_device(fd.get())) throw cannot_open("/dev/null");
  return fd;
}

UniqueFd copy_of(int given) {
  UniqueFd fd(posix::fcntl(given, F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
  if (!fd) throw cannot_open("descriptor " + std::to_string(given));
  return fd;
}

// Refuses another user's link: a privileged start would write into a file that this user may not write to.
posix::DirectoryEntry find_target(const Path& path) {
  posix::DirectoryEntry entry;
  const int error = posix::find_entry(path.c_str(), posix::LastComponent::follow, entry);
  const bool at_end = entry.name[0] != '\0';
  if (error == ELOOP && at_end) throw unsafe(path, "it is a symbolic link that others could have put there");
  if (error == ELOOP)
    throw unsafe(path, "a symbolic link on the way to it could have been put there by others");
  const int wrong = error == 0 && !at_end ? EISDIR : error;
  if (wrong != 0) throw DaemonError(Step::open_stdio, {wrong, std::generic_category()}, path.native());
  return entry;
}

void check_missing_file(const Path& path, const posix::DirectoryEntry& entry) {
  if (posix::faccessat(entry.directory.get(), ".", W_OK | X_OK, AT_EACCESS) == -1)
    throw cannot_open(path.native());
}

UniqueFd open_file(const StdioTarget& target, int stream, const posix::DirectoryEntry& entry,
                   std::optional<uid_t> user, std::optional<FileOwner> owner, bool& is_new) {
  // Set O_NONBLOCK only for the open: a FIFO that nobody reads is then refused instead of waited for.
  constexpr int common = O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW;
  const int flags = stream == STDIN_FILENO ? O_RDONLY : O_WRONLY | O_APPEND;
  const Path& path = target.path();
  UniqueFd fd = stream == STDIN_FILENO
                    ? UniqueFd(posix::retry([&] {
                        return posix::openat(entry.directory.get(), entry.name.data(), common | flags);
                      }))
                    : open_or_create(entry, common | flags, owner, target.options().mode, is_new);
  if (!fd && errno == ENXIO) {
    throw DaemonError(
        Step::open_stdio, posix::last_error(), path.native(),
        "cannot open the file \"" + path.native() + "\": it is a FIFO that nobody reads, or a socket");
  }
  try {
    if (!fd || posix::fcntl(fd.get(), F_SETFL, flags) == -1) throw cannot_open(path.native());
    check_origin(entry, path, fd, user, stream != STDIN_FILENO);
  } catch (...) {
    if (is_new) posix::unlinkat(entry.directory.get(), entry.name.data(), 0);
    throw;
  }
  return fd;
}

// Refuses the pidfile: a worker that may rename both files could give the pidfile the log's name.
UniqueFd open_beside(int pidfile, const StdioTarget& target, int stream, const posix::DirectoryEntry& entry,
                     std::optional<uid_t> user, std::optional<FileOwner> owner) {
  if (posix::geteuid() != 0) owner.reset();
  const auto is_pidfile = [pidfile](const struct stat& found) {
    struct stat own {};
    return pidfile != -1 && posix::fstat(pidfile, &own) == 0 && own.st_ino == found.st_ino &&
           own.st_dev == found.st_dev;
  };
  struct stat found {};
  const bool exists =
      posix::fstatat(entry.directory.get(), entry.name.data(), &found, AT_SYMLINK_NOFOLLOW) == 0;
  if (exists && is_pidfile(found)) throw unsafe(target.path(), "it is the pidfile");
  bool is_new = false;  // ignored: a reopened log stays
  UniqueFd fd = open_file(target, stream, entry, user, owner, is_new);
  if (posix::fstat(fd.get(), &found) == 0 && !is_pidfile(found)) return fd;
  static_cast<void>(fd.release());  // closing it would drop the pidfile's locks
  throw unsafe(target.path(), "it is the pidfile");
}

}  // namespace daemonctx
