// SPDX-License-Identifier: BSL-1.0
#include "sockets/socket_file.hpp"

#include <posix/syscalls.hpp>
#include <stdexcept>

#include "posix/retry.hpp"
#include "sockets/ip_socket.hpp"
#include "sockets/socket_error.hpp"
#include "sockets/socket_place.hpp"

namespace daemonctx {
namespace {

// A descriptor's name in /proc, or a directory of its own with a long name, may be longer than the path.
SocketAddress address_of(const ListenSocket& socket, const std::string& path) {
  try {
    return unix_address(path);
  } catch (const std::invalid_argument& error) {
    throw socket_error(socket, std::errc::filename_too_long, std::string("the path ") + error.what());
  }
}

bool is_own(const struct stat& found) noexcept { return found.st_uid == posix::geteuid(); }

int bind_at(const ListenSocket& socket, const SocketPlace& place, const UniqueFd& fd) {
  const SocketAddress address = address_of(socket, place.way());
  return posix::bind(fd.get(), address.get(), address.size);
}

struct stat status_of(const ListenSocket& socket, const UniqueFd& entry) {
  struct stat found {};
  if (posix::fstat(entry.get(), &found) == -1) throw socket_error(socket);
  if (S_ISSOCK(found.st_mode)) return found;
  throw socket_error(socket, std::errc::file_exists, "something that is no socket is in its place");
}

// Only ECONNREFUSED says that no process has the socket. A full queue (EAGAIN) or another type (EPROTOTYPE)
// says that one has it. Also refused: a socket that is bound and does not listen yet; PlaceLock keeps those
// of this library apart.
void check_that_nobody_listens(const ListenSocket& socket, const SocketPlace& place, const UniqueFd& entry) {
  const UniqueFd fd = new_socket(socket, AF_UNIX);
  const SocketAddress address = address_of(socket, place.way_to(entry));
  if (posix::fcntl(fd.get(), F_SETFL, O_NONBLOCK) == -1) throw socket_error(socket);
  const int result = posix::connect(fd.get(), address.get(), address.size);
  if (result == -1 && errno == ECONNREFUSED) return;
  const bool is_there = result == 0 || errno == EAGAIN || errno == EPROTOTYPE;
  if (!is_there) throw socket_error(socket);
  errno = EADDRINUSE;
  throw socket_error(socket);
}

// Only root can connect to a file that its owner may not write to. A start that was killed leaves one of mode
// 0. Root opens the file of no other user.
void open_to_its_owner(const SocketPlace& place, const UniqueFd& entry, const struct stat& found) noexcept {
  constexpr mode_t by_owner = 0600;
  if (posix::geteuid() == 0 || !is_own(found) || (found.st_mode & by_owner) == by_owner) return;
  posix::chmod(place.way_to(entry).c_str(), found.st_mode | by_owner);
}

void remove_stale_file(const ListenSocket& socket, const SocketPlace& place) {
  const UniqueFd entry = place.open_entry();
  if (!entry && errno == ENOENT) return;
  if (!entry) throw socket_error(socket);
  open_to_its_owner(place, entry, status_of(socket, entry));
  check_that_nobody_listens(socket, place, entry);
  if (posix::unlinkat(place.directory(), place.name(), 0) == -1 && errno != ENOENT)
    throw socket_error(socket);
}

// bind(2) takes the mode of the new file from that of the socket: with mode 0 nobody but root can connect
// before the file has its owner and mode. The umask, which could do the same, belongs to all threads.
UniqueFd bind_closed(const ListenSocket& socket, const SocketPlace& place) {
  UniqueFd fd = new_socket(socket, AF_UNIX);
  if (posix::fchmod(fd.get(), 0) == -1) throw socket_error(socket);
  if (bind_at(socket, place, fd) == 0) return fd;
  if (errno != EADDRINUSE) throw socket_error(socket);
  remove_stale_file(socket, place);
  if (bind_at(socket, place, fd) == 0) return fd;
  throw socket_error(socket);
}

// Where others may change the directory, they can give its name to another socket meanwhile.
void identify(const ListenSocket& socket, const SocketPlace& place, SocketFile& file) {
  file.entry = place.open_entry();
  if (!file.entry) throw socket_error(socket);
  const struct stat found = status_of(socket, file.entry);
  const bool is_ours = is_own(found) && found.st_nlink == 1 && (found.st_mode & 07777) == 0;
  if (!is_ours)
    throw socket_error(socket, std::errc::operation_not_permitted, "others have replaced the file");
  file.device = found.st_dev;
  file.inode = found.st_ino;
}

// What has taken the place of the new file must not be removed.
bool is_replaced(const DaemonError& error) {
  return error.code() == std::errc::file_exists || error.code() == std::errc::operation_not_permitted;
}

void give(const ListenSocket& socket, const SocketPlace& place, const UniqueFd& entry,
          std::optional<FileOwner> owner) {
  const auto failed = [&](const char* what) {
    const auto code = posix::last_error();
    return socket_error(socket, code, std::string("cannot change its ") + what + ": " + code.message());
  };
  if (owner && posix::fchownat(entry.get(), "", owner->uid, owner->gid, AT_EMPTY_PATH) == -1)
    throw failed("owner");
  if (posix::chmod(place.way_to(entry).c_str(), socket.mode) == -1) throw failed("mode");
}

DaemonError lock_error(const ListenSocket& socket, const PlaceLock& lock, int error) {
  const std::error_code code(error, std::generic_category());
  if (error == EAGAIN) return socket_error(socket, code, "another start is busy with it");
  const std::string why = error == EPERM ? "it is no empty file of this user's; remove it" : code.message();
  return socket_error(socket, code, "cannot use the lock file \"" + lock.name() + "\" beside it: " + why);
}

SocketFile file_at(const ListenSocket& socket, const SocketPlace& place) {
  SocketFile file{.path = socket.address, .name = place.name()};
  file.directory.reset(posix::fcntl(place.directory(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
  if (!file.directory) throw socket_error(socket);
  return file;
}

}  // namespace

void SocketFile::keep() noexcept {
  directory.reset();
  entry.reset();
}

void SocketFile::remove() const noexcept {
  if (!directory) {
    posix::DirectoryEntry found;
    const int error = posix::find_entry(path.c_str(), posix::LastComponent::keep, found);
    if (error == 0) remove_from(found.directory.get());
    return;
  }
  PlaceLock lock(directory.get(), name);  // the sockets of a failed start may be closed already
  if (lock.lock() != EAGAIN) remove_from(directory.get());
}

void SocketFile::remove_from(int place) const noexcept {
  struct stat found {};
  const bool is_ours = posix::fstatat(place, name.c_str(), &found, AT_SYMLINK_NOFOLLOW) == 0 &&
                       found.st_ino == inode && found.st_dev == device;
  if (is_ours) posix::unlinkat(place, name.c_str(), 0);
}

UniqueFd open_with_file(const ListenSocket& socket, std::optional<FileOwner> owner,
                        std::vector<SocketFile>& files) {
  const SocketPlace place(socket);
  PlaceLock lock(place.directory(), place.name());
  if (const int error = lock.lock()) throw lock_error(socket, lock, error);
  files.reserve(files.size() + 1);
  SocketFile file = file_at(socket, place);
  UniqueFd fd = bind_closed(socket, place);
  try {
    identify(socket, place, file);
  } catch (const DaemonError& error) {
    if (!is_replaced(error)) posix::unlinkat(place.directory(), place.name(), 0);
    throw;
  }
  files.push_back(std::move(file));
  start_listening(socket, fd);
  give(socket, place, files.back().entry, owner);
  return fd;
}

void inherit_file(const ListenSocket& socket, std::vector<SocketFile>& files) {
  const SocketPlace place(socket);
  struct stat found {};
  if (posix::fstatat(place.directory(), place.name(), &found, AT_SYMLINK_NOFOLLOW) == -1) return;
  files.push_back(
      {.path = socket.address, .name = place.name(), .device = found.st_dev, .inode = found.st_ino});
}

void check_with_file(const ListenSocket& socket) {
  const SocketPlace place(socket);
  const UniqueFd entry = place.open_entry();
  if (entry) static_cast<void>(status_of(socket, entry));
  else if (errno != ENOENT) throw socket_error(socket);
  if (posix::faccessat(place.directory(), ".", W_OK | X_OK, AT_EACCESS) == -1) throw socket_error(socket);
}

}  // namespace daemonctx
