// SPDX-License-Identifier: BSL-1.0

// A service with the library that answers each connection with one byte, and upgrades on SIGUSR2:
// PROGRAM PIDFILE PORT_FILE

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <daemonctx/daemon_context.hpp>
#include <fstream>

namespace {

constexpr std::chrono::milliseconds probation{20};
constexpr unsigned longest_life = 300;  // seconds: a driver that was killed cannot stop the service

int port_of(int fd) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.sin_port);
}

void answer(int fd) {
  for (;;) {
    const int client = ::accept4(fd, nullptr, nullptr, SOCK_CLOEXEC);
    if (client == -1) return;
    static_cast<void>(::send(client, "\n", 1, MSG_NOSIGNAL));
    ::close(client);
  }
}

void serve(daemonctx::DaemonContext& context, int fd) {
  while (!context.stop_requested()) {
    std::array<pollfd, 2> events{{{fd, POLLIN, 0}, {context.signal_fd(), POLLIN, 0}}};
    ::poll(events.data(), events.size(), -1);
    if (events[0].revents != 0) answer(fd);
    context.dispatch();
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  ::alarm(longest_life);
  return daemonctx::run({.pidfile = argv[1],
                         .signal_map = {{SIGUSR2, daemonctx::Action::upgrade}},
                         .sockets = {{.name = "web", .address = "127.0.0.1:0", .backlog = 1024}},
                         .detach_process = daemonctx::DetachProcess::always,
                         .readiness = daemonctx::Readiness::when_notified,
                         .upgrade = {.probation = probation}},
                        [&](daemonctx::DaemonContext& context) {
                          const int fd = context.socket("web");
                          ::fcntl(fd, F_SETFL, O_NONBLOCK);
                          std::ofstream(argv[2]) << port_of(fd) << std::flush;
                          context.notify_ready();
                          serve(context, fd);
                          return 0;
                        });
}
