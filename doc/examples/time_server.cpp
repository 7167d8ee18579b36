// SPDX-License-Identifier: BSL-1.0

// A service whose socket, user and log come from its configuration file, and whose socket outlives a crash:
//
//   listen = *:1313
//   format = %H:%M
//   user = nobody
//   log = /var/log/time_server.log

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <boost/program_options.hpp>
#include <ctime>
#include <daemonctx/service.hpp>
#include <string>

namespace po = boost::program_options;
using daemonctx::DaemonContext;

void answer(int client, const std::string& format) {
  const std::time_t now = std::time(nullptr);
  std::array<char, 256> text{};
  const auto size = std::strftime(text.data(), text.size(), format.c_str(), std::localtime(&now));
  ::send(client, text.data(), size, MSG_NOSIGNAL);
  ::close(client);
}

int serve(DaemonContext& context, const std::string& format) {
  const int listener = context.socket("time");
  ::fcntl(listener, F_SETFL, O_NONBLOCK);  // the client may be gone when `accept4` looks
  std::array<pollfd, 2> events{{{listener, POLLIN, 0}, {context.signal_fd(), POLLIN, 0}}};
  while (!context.stop_requested()) {
    ::poll(events.data(), events.size(), 1000);
    context.dispatch();
    const int client = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (client != -1) answer(client, format);
    else if (errno == EMFILE) context.wait_for(std::chrono::seconds(1));
  }
  return 0;
}

int main(int argc, char** argv) {
  std::string format;
  daemonctx::Service service("time_server", {.respawn = true},
                             [&](DaemonContext& context) { return serve(context, format); });
  service.config_file("/etc/time_server.conf");
  service.options().add_options()("listen", po::value<std::string>()->required(), "the address");
  service.options().add_options()("format", po::value(&format)->default_value("%c"), "as in strftime(3)");
  service.on_options([](const auto& values, daemonctx::DaemonOptions& options) {
    options.sockets = {{.name = "time", .address = values["listen"].template as<std::string>()}};
  });
  return service.main(argc, argv);
}
