// SPDX-License-Identifier: BSL-1.0
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <stdexcept>

#include "probe.hpp"

namespace probe {

using daemonctx::DaemonContext;

namespace {

// The address as the kernel shows it: 127.0.0.1:80, [::1]:80, /run/x.sock, @name.
std::string address_of(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (address.ss_family == AF_UNIX) {
    const auto& path = reinterpret_cast<const sockaddr_un&>(address).sun_path;
    if (path[0] != '\0') return path;
    return '@' + std::string(path + 1, size - offsetof(sockaddr_un, sun_path) - 1);
  }
  if (address.ss_family == AF_INET6) {
    const auto& ip6 = reinterpret_cast<const sockaddr_in6&>(address);
    ::inet_ntop(AF_INET6, &ip6.sin6_addr, text.data(), text.size());
    return '[' + std::string(text.data()) + "]:" + std::to_string(ntohs(ip6.sin6_port));
  }
  const auto& ip4 = reinterpret_cast<const sockaddr_in&>(address);
  ::inet_ntop(AF_INET, &ip4.sin_addr, text.data(), text.size());
  return text.data() + (':' + std::to_string(ntohs(ip4.sin_port)));
}

}  // namespace

// Reports the socket NAME: its descriptor, its address, and what is unusual in its flags.
void tell_socket(DaemonContext& context, const std::string& name) {
  try {
    const int fd = context.socket(name);
    say(name + ' ' + address_of(fd) + ((::fcntl(fd, F_GETFD) & FD_CLOEXEC) == 0 ? " not close-on-exec" : "") +
        ((::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0 ? " non-blocking" : ""));
  } catch (const std::out_of_range& error) {
    say(error.what());
  }
}

// Answers each byte with the next one, until the stop. One thread, one connection at a time.
void serve_socket(DaemonContext& context, const std::string& name) {
  const int fd = context.socket(name);
  int type = 0;
  socklen_t size = sizeof type;
  ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size);
  say("serving " + std::to_string(::getpid()));
  std::array<pollfd, 2> events{{{fd, POLLIN, 0}, {context.signal_fd(), POLLIN, 0}}};
  while (!context.stop_requested()) {
    ::poll(events.data(), events.size(), -1);
    context.dispatch();
    if ((events[0].revents & POLLIN) == 0) continue;
    char byte = 0;
    if (type == SOCK_DGRAM) {
      sockaddr_storage sender{};
      socklen_t length = sizeof sender;
      if (::recvfrom(fd, &byte, 1, 0, reinterpret_cast<sockaddr*>(&sender), &length) != 1) continue;
      ++byte;
      ::sendto(fd, &byte, 1, 0, reinterpret_cast<const sockaddr*>(&sender), length);
      continue;
    }
    const int connection = ::accept4(fd, nullptr, nullptr, SOCK_CLOEXEC);
    if (connection == -1) continue;
    if (::recv(connection, &byte, 1, 0) == 1) {
      ++byte;
      ::send(connection, &byte, 1, MSG_NOSIGNAL);
    }
    ::close(connection);
  }
  say("stop");
}

// In a forked child.
void tell_child_socket(DaemonContext& context, const std::string& name) {
  const pid_t child = ::fork();
  if (child == 0) {
    say("child " + std::to_string(context.socket(name)));
    ::_exit(0);
  }
  ::waitpid(child, nullptr, 0);
}

void use_socket_in_cleanup(DaemonContext& context, const std::string& name) {
  context.on_exit([fd = context.socket(name)] { say("cleanup " + address_of(fd)); });
}

}  // namespace probe
