// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/un.h>

#include <cstddef>
#include <posix/syscalls.hpp>
#include <string>
#include <string_view>

namespace daemonctx {

/// An address as the system calls take it.
struct SocketAddress {
  sockaddr_storage storage = {};
  socklen_t size = 0;

  int family() const noexcept { return storage.ss_family; }
  const sockaddr* get() const noexcept { return reinterpret_cast<const sockaddr*>(&storage); }
};

/// The longest path or abstract name, without the NUL behind or before it.
inline constexpr std::size_t longest_unix_name = sizeof(sockaddr_un::sun_path) - 1;

/// Whether `ListenSocket::address` is the path of a socket file.
inline bool is_path(std::string_view address) noexcept {
  return !address.starts_with('@') && address.find('/') != std::string_view::npos;
}

/// Whether `ListenSocket::address` means all addresses of the machine.
inline bool is_any(std::string_view address) noexcept { return address.starts_with("*:"); }

/// Reads `ListenSocket::address`. "*" becomes the IPv6 address for all, which takes IPv4 along.
/// \throws std::invalid_argument with the reason.
SocketAddress parse_address(const std::string& text);

/// The IPv4 address for all, with the port of an IPv6 address.
SocketAddress any_ip4(const SocketAddress& ip6) noexcept;

/// \param name a path, or with a NUL in front an abstract name. \throws std::invalid_argument if it is too
///   long.
SocketAddress unix_address(std::string_view name);

}  // namespace daemonctx
