// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <cstdlib>
#include <cstring>
#include <posix/syscalls.hpp>
#include <string>
#include <string_view>

namespace daemonctx {

inline constexpr std::string_view journal_socket = "/run/systemd/journal/stdout";

/// Whether $JOURNAL_STREAM names the file of `fd`: "DEVICE:INODE" (systemd.exec(5)).
inline bool is_named_by_journal_stream(int fd) {
  struct stat file {};
  const char* const named = std::getenv("JOURNAL_STREAM");
  return named != nullptr && posix::fstat(fd, &file) == 0 &&
         named == std::to_string(file.st_dev) + ':' + std::to_string(file.st_ino);
}

/// The path of the journal's socket if `fd` is a stream to a systemd journal, also to that of a log
/// namespace. Empty: it is none.
inline std::string journal_of(int fd) {
  sockaddr_un peer{};
  socklen_t size = sizeof peer;
  if (::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) == -1 || peer.sun_family != AF_UNIX)
    return {};
  const std::string_view path(peer.sun_path, ::strnlen(peer.sun_path, sizeof peer.sun_path));
  if (path.starts_with("/run/systemd/journal") && path.ends_with("/stdout")) return std::string(path);
  return std::string(is_named_by_journal_stream(fd) ? journal_socket : "");
}

/// What makes a line an error in the journal (syslog(3)), if `fd` leads there; else nothing.
inline std::string_view error_prefix(int fd) { return journal_of(fd).empty() ? "" : "<3>"; }

}  // namespace daemonctx
