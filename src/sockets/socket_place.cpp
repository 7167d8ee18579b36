// SPDX-License-Identifier: BSL-1.0
#include "sockets/socket_place.hpp"

#include <posix/syscalls.hpp>

#include "base/deadline.hpp"
#include "base/graces.hpp"
#include "posix/retry.hpp"
#include "safe_path/directory_trust.hpp"
#include "safe_path/made_directories.hpp"
#include "sockets/socket_address.hpp"
#include "sockets/socket_error.hpp"

namespace daemonctx {
namespace {

constexpr int wait_slice = 10;  // milliseconds

bool is_same(const struct stat& one, const struct stat& other) noexcept {
  return one.st_ino == other.st_ino && one.st_dev == other.st_dev;
}

// Whether only root and this user can change any directory from the root to `path`, which has no links.
bool is_guarded_way(const Path& path) noexcept {
  for (Path each = path;; each = each.parent_path()) {
    struct stat found {};
    if (posix::lstat(each.c_str(), &found) == -1 || !S_ISDIR(found.st_mode) || !posix::is_guarded(found))
      return false;
    if (each.native() == "/") return true;
  }
}

// Empty if others can change a directory on the way.
std::string guarded_path(const Path& path, const posix::DirectoryEntry& entry) {
  const Path directory = real_path(path.parent_path());
  struct stat walked {};
  struct stat named {};
  const bool is_it = posix::fstat(entry.directory.get(), &walked) == 0 &&
                     posix::lstat(directory.c_str(), &named) == 0 && is_same(walked, named);
  return is_it && is_guarded_way(directory) ? (directory / Path(entry.name.data())).native() : "";
}

std::string name_of(int fd) { return "/proc/self/fd/" + std::to_string(fd); }

}  // namespace

SocketPlace::SocketPlace(const ListenSocket& socket) {
  const int error = posix::find_entry(socket.address.c_str(), posix::LastComponent::keep, entry_);
  if (error == ELOOP) {
    throw socket_error(socket, std::errc::operation_not_permitted,
                       "a symbolic link on the way to it could have been put there by others");
  }
  if (error != 0) {
    const std::error_code code(error, std::generic_category());
    throw socket_error(socket, code, code.message());
  }
  if (*name() == '\0') throw socket_error(socket, std::errc::is_a_directory, "it is a directory");
  if (socket.address.size() > longest_unix_name) {
    throw socket_error(socket, std::errc::filename_too_long,
                       "a client could not connect to a path of more than " +
                           std::to_string(longest_unix_name) + " characters");
  }
  guarded_path_ = guarded_path(Path(socket.address), entry_);
  if (guarded_path_.size() > longest_unix_name) guarded_path_.clear();
  if (!guarded_path_.empty() || posix::access(name_of(directory()).c_str(), F_OK) == 0) return;
  throw socket_error(socket, std::errc::operation_not_supported,
                     "others can change a directory on the way to it, and /proc is not there");
}

std::string SocketPlace::way() const {
  return guarded_path_.empty() ? name_of(directory()) + '/' + name() : guarded_path_;
}

// In a sticky directory the new owner of a file can put a link in its place.
std::string SocketPlace::way_to(const UniqueFd& entry) const {
  std::string name = name_of(entry.get());
  const bool has_proc = guarded_path_.empty() || posix::access(name_of(directory()).c_str(), F_OK) == 0;
  return has_proc ? name : guarded_path_;
}

UniqueFd SocketPlace::open_entry() const noexcept {
  return UniqueFd(
      posix::retry([&] { return posix::openat(directory(), name(), O_PATH | O_NOFOLLOW | O_CLOEXEC); }));
}

PlaceLock::~PlaceLock() {
  if (owns_file_) posix::unlinkat(directory_, name_.c_str(), 0);
}

int PlaceLock::lock() noexcept {
  const auto limit = posix::deadline_in(graces::socket_file);
  int error = try_lock();
  while (error == EAGAIN && posix::Clock::now() < limit) {
    posix::poll(nullptr, 0, wait_slice);
    error = try_lock();
  }
  return error;
}

// Sets `is_new` if the file did not exist before. Returns 0 or an errno.
int PlaceLock::open_file(bool& is_new) noexcept {
  constexpr int flags = O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
  const auto open = [&](int more) {
    file_.reset(
        posix::retry([&] { return posix::openat(directory_, name_.c_str(), flags | more, mode_t{0600}); }));
    return file_ ? 0 : errno;
  };
  const int error = open(O_CREAT | O_EXCL);
  is_new = error == 0;
  if (error != EEXIST) return error;
  const int found = open(0);
  if (found == ELOOP || found == EISDIR || found == ENXIO) return EPERM;
  return found == ENOENT ? EAGAIN : found;
}

// EAGAIN: another start holds the lock, or has removed the file meanwhile.
int PlaceLock::try_lock() noexcept {
  bool is_new = false;
  if (const int error = open_file(is_new)) return error;
  const int error = lock_file();
  owns_file_ = error == 0 || (is_new && error != EAGAIN);
  return error;
}

int PlaceLock::lock_file() noexcept {
  struct stat locked {};
  if (posix::fstat(file_.get(), &locked) == -1) return errno;
  // Another user could hold it locked for ever.
  if (!S_ISREG(locked.st_mode) || locked.st_uid != posix::geteuid() || locked.st_size != 0) return EPERM;
  if (posix::retry([&] { return posix::flock(file_.get(), LOCK_EX | LOCK_NB); }) == -1) return errno;
  struct stat named {};
  if (posix::fstatat(directory_, name_.c_str(), &named, AT_SYMLINK_NOFOLLOW) == -1) return EAGAIN;
  return is_same(locked, named) ? 0 : EAGAIN;
}

}  // namespace daemonctx
