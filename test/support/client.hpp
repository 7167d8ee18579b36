// SPDX-License-Identifier: BSL-1.0
#pragma once

// A client of a service's sockets. Addresses are written as in `ListenSocket`, with a path or a port.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string>
#include <utility>

namespace scene {

struct Address {
  sockaddr_storage storage = {};
  socklen_t size = 0;

  explicit Address(const std::string& text) {
    if (text[0] == '/' || text[0] == '@') keep_unix(text);
    else keep_ip(text, htons(static_cast<std::uint16_t>(std::stoi(text.substr(text.rfind(':') + 1)))));
  }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }

 private:
  void keep_unix(const std::string& text) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    text.copy(address.sun_path, sizeof address.sun_path - 1);
    if (text[0] == '@') address.sun_path[0] = '\0';
    keep(address, offsetof(sockaddr_un, sun_path) + text.size() + (text[0] == '@' ? 0 : 1));
  }
  void keep_ip(const std::string& text, in_port_t port) {
    const auto colon = text.rfind(':');
    if (text[0] == '[') {
      sockaddr_in6 address{};
      address.sin6_family = AF_INET6;
      address.sin6_port = port;
      ::inet_pton(AF_INET6, text.substr(1, colon - 2).c_str(), &address.sin6_addr);
      return keep(address, sizeof address);
    }
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = port;
    ::inet_pton(AF_INET, text.substr(0, colon).c_str(), &address.sin_addr);
    keep(address, sizeof address);
  }
  template <class Source>
  void keep(const Source& address, std::size_t length) {
    std::memcpy(&storage, &address, sizeof address);
    size = static_cast<socklen_t>(length);
  }
};

/// A socket of the test.
class Peer {
 public:
  explicit Peer(int fd = -1) : fd_(fd) {}
  Peer(Peer&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Peer& operator=(Peer&&) = delete;
  ~Peer() {
    if (fd_ != -1) ::close(fd_);
  }
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ != -1; }

  /// Forgets the connection at once, so that its port is free again.
  void reset_at_close() const {
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  }

 private:
  int fd_;
};

/// Connects. Empty, with errno, on failure. An answer is waited for at most 30 seconds.
inline Peer connect_to(const std::string& text, int type = SOCK_STREAM) {
  const Address address(text);
  Peer peer(::socket(address.storage.ss_family, type | SOCK_CLOEXEC, 0));
  const timeval limit{.tv_sec = 30, .tv_usec = 0};
  ::setsockopt(peer.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  // A Unix datagram socket gets answers only with an address of its own; the kernel chooses one.
  const sa_family_t family = AF_UNIX;
  if (type == SOCK_DGRAM && address.storage.ss_family == AF_UNIX)
    ::bind(peer.get(), reinterpret_cast<const sockaddr*>(&family), sizeof family);
  if (::connect(peer.get(), address.get(), address.size) == -1) return Peer();
  return peer;
}

/// Binds and listens; with `backlog` -1 it only binds. Empty, with errno, on failure.
inline Peer listen_at(const std::string& text, int type = SOCK_STREAM, int backlog = 5) {
  const Address address(text);
  Peer peer(::socket(address.storage.ss_family, type | SOCK_CLOEXEC, 0));
  if (::bind(peer.get(), address.get(), address.size) == -1) return Peer();
  if (backlog != -1 && type != SOCK_DGRAM && ::listen(peer.get(), backlog) == -1) return Peer();
  return peer;
}

/// Sends a byte. The answer of the probe's action "serve" is the next one; '-' and errno if there is none.
inline char ask(const Peer& peer, char byte) {
  errno = 0;
  if (::send(peer.get(), &byte, 1, MSG_NOSIGNAL) != 1 || ::recv(peer.get(), &byte, 1, 0) != 1) return '-';
  return byte;
}

/// Whether the service at the address answers.
inline bool answers(const std::string& address, int type = SOCK_STREAM) {
  const Peer peer = connect_to(address, type);
  return peer && ask(peer, 'a') == 'b';
}

inline bool has_ip6() { return bool(listen_at("[::1]:0")); }

}  // namespace scene
