// SPDX-License-Identifier: BSL-1.0
#include "sockets/socket_address.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>

#include "base/number.hpp"

namespace daemonctx {
namespace {

template <class Address>
SocketAddress wrap(const Address& address, std::size_t size = sizeof(Address)) noexcept {
  SocketAddress result;
  std::memcpy(&result.storage, &address, sizeof address);
  result.size = static_cast<socklen_t>(size);
  return result;
}

std::uint16_t read_port(std::string_view text) {
  if (const auto port = to_number<std::uint16_t>(text)) return *port;
  throw std::invalid_argument("\"" + std::string(text) + "\" is no port from 0 to 65535");
}

SocketAddress read_ip6(const std::string& host, std::uint16_t port) {
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(port);
  if (::inet_pton(AF_INET6, host.c_str(), &address.sin6_addr) == 1) return wrap(address);
  throw std::invalid_argument("\"" + host + "\" is no IPv6 address in numbers");
}

SocketAddress read_ip4(const std::string& host, std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  if (::inet_pton(AF_INET, host.c_str(), &address.sin_addr) == 1) return wrap(address);
  if (host.find(':') != std::string::npos)
    throw std::invalid_argument("an IPv6 address must stand in brackets, as in \"[::1]:80\"");
  throw std::invalid_argument("\"" + host + "\" is no IP address in numbers");
}

SocketAddress parse_ip(const std::string& text) {
  const auto colon = text.rfind(':');
  const auto bracket = text.rfind(']');
  const bool has_port = colon != std::string::npos && (bracket == std::string::npos || bracket < colon);
  if (!has_port) throw std::invalid_argument("has no port; a path needs a slash, as in \"./x.sock\"");
  const std::string host = text.substr(0, colon);
  const std::uint16_t port = read_port(std::string_view(text).substr(colon + 1));
  if (host == "*") return read_ip6("::", port);
  if (host.starts_with('[') && host.ends_with(']')) return read_ip6(host.substr(1, host.size() - 2), port);
  return read_ip4(host, port);
}

}  // namespace

SocketAddress parse_address(const std::string& text) {
  if (text.find('\0') != std::string::npos) throw std::invalid_argument("has a NUL character in it");
  if (text == "@") throw std::invalid_argument("the abstract name is empty");
  if (text.starts_with('@')) return unix_address(std::string(1, '\0') + text.substr(1));
  return is_path(text) ? unix_address(text) : parse_ip(text);
}

SocketAddress any_ip4(const SocketAddress& ip6) noexcept {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = reinterpret_cast<const sockaddr_in6&>(ip6.storage).sin6_port;
  return wrap(address);
}

SocketAddress unix_address(std::string_view name) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (name.size() > longest_unix_name) {
    throw std::invalid_argument("has " + std::to_string(name.size()) + " characters, more than " +
                                std::to_string(longest_unix_name));
  }
  name.copy(address.sun_path, name.size());
  const std::size_t end_of_text = name.starts_with('\0') ? 0 : 1;
  return wrap(address, offsetof(sockaddr_un, sun_path) + name.size() + end_of_text);
}

}  // namespace daemonctx
