// SPDX-License-Identifier: BSL-1.0
#include "sockets/ip_socket.hpp"

#include <netinet/in.h>

#include <posix/syscalls.hpp>

#include "sockets/socket_error.hpp"

namespace daemonctx {
namespace {

constexpr int first_free_port = 1024;

void set_option(const ListenSocket& socket, const UniqueFd& fd, int level, int option, int value) {
  if (posix::setsockopt(fd.get(), level, option, &value, sizeof value) == -1) throw socket_error(socket);
}

// Always set IPV6_V6ONLY: its default is a setting of the system (net.ipv6.bindv6only).
// Without SO_REUSEADDR a restart would fail as long as the kernel remembers a connection of the former
// daemon. For UDP it would let two daemons have the same port.
void set_options(const ListenSocket& socket, const UniqueFd& fd, int family) {
  if (family == AF_UNIX) return;
  if (socket.type == SocketType::stream) set_option(socket, fd, SOL_SOCKET, SO_REUSEADDR, 1);
  if (family == AF_INET6) set_option(socket, fd, IPPROTO_IPV6, IPV6_V6ONLY, socket.v6only ? 1 : 0);
  if (socket.reuse_port) set_option(socket, fd, SOL_SOCKET, SO_REUSEPORT, 1);
}

int port_of(const SocketAddress& address) noexcept {
  if (address.family() == AF_INET6)
    return ntohs(reinterpret_cast<const sockaddr_in6&>(address.storage).sin6_port);
  if (address.family() == AF_INET)
    return ntohs(reinterpret_cast<const sockaddr_in&>(address.storage).sin_port);
  return 0;
}

DaemonError bind_error(const ListenSocket& socket, const SocketAddress& address) {
  const auto code = posix::last_error();
  std::string reason = code.message();
  const int port = port_of(address);
  if (code == std::errc::permission_denied && port > 0 && port < first_free_port)
    reason += " (a port below 1024 needs root, or the capability CAP_NET_BIND_SERVICE)";
  if (code == std::errc::address_not_available) reason += " (this machine does not have the address)";
  return socket_error(socket, code, reason);
}

struct Unbound {
  UniqueFd fd;
  SocketAddress address;
};

Unbound prepare(const ListenSocket& socket) {
  Unbound made{.fd = {}, .address = parse_address(socket.address)};
  made.fd.reset(posix::socket(made.address.family(), number_of(socket.type) | SOCK_CLOEXEC, 0));
  if (!made.fd && errno == EAFNOSUPPORT && is_any(socket.address)) {
    made.address = any_ip4(made.address);
    made.fd = new_socket(socket, AF_INET);
  }
  if (!made.fd) throw socket_error(socket);
  set_options(socket, made.fd, made.address.family());
  return made;
}

int bind(const UniqueFd& fd, const SocketAddress& address) noexcept {
  return posix::bind(fd.get(), address.get(), address.size);
}

}  // namespace

int number_of(SocketType type) noexcept {
  switch (type) {
    case SocketType::datagram:
      return SOCK_DGRAM;
    case SocketType::seqpacket:
      return SOCK_SEQPACKET;
    case SocketType::stream:
      break;
  }
  return SOCK_STREAM;
}

UniqueFd new_socket(const ListenSocket& socket, int family) {
  UniqueFd fd(posix::socket(family, number_of(socket.type) | SOCK_CLOEXEC, 0));
  if (!fd) throw socket_error(socket);
  return fd;
}

void start_listening(const ListenSocket& socket, const UniqueFd& fd) {
  if (socket.type == SocketType::datagram) return;
  if (posix::listen(fd.get(), socket.backlog) == -1) throw socket_error(socket);
}

UniqueFd open_without_file(const ListenSocket& socket) {
  Unbound made = prepare(socket);
  if (bind(made.fd, made.address) == -1) throw bind_error(socket, made.address);
  start_listening(socket, made.fd);
  return std::move(made.fd);
}

// Binds only a TCP socket that does not listen: with SO_REUSEADDR it keeps no other from the port.
void check_without_file(const ListenSocket& socket) {
  const auto [fd, address] = prepare(socket);
  if (address.family() == AF_UNIX || socket.type != SocketType::stream) return;
  if (bind(fd, address) == -1 && errno != EADDRINUSE) throw bind_error(socket, address);
}

}  // namespace daemonctx
