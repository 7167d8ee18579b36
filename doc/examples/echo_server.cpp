// SPDX-License-Identifier: BSL-1.0

// A TCP server on Boost.Asio with coroutines: echoes what it receives, counts connections on SIGUSR1, and
// stops cleanly with connections open. The socket may come from the service manager.

#include <utility>  // boost/asio.hpp 1.74 needs it and does not include it

#include <boost/asio.hpp>
#include <daemonctx/asio.hpp>
#include <iostream>

namespace {

namespace net = boost::asio;
using net::ip::tcp;

int connections = 0;

net::awaitable<void> echo(tcp::socket client) {
  ++connections;
  try {
    std::array<char, 4096> data;
    for (;;) {
      const auto size = co_await client.async_read_some(net::buffer(data), net::use_awaitable);
      co_await net::async_write(client, net::buffer(data, size), net::use_awaitable);
    }
  } catch (const boost::system::system_error&) {  // the client has gone
    --connections;
  }
}

net::awaitable<void> accept(tcp::acceptor& acceptor) {
  for (;;) {
    auto client = co_await acceptor.async_accept(net::use_awaitable);
    net::co_spawn(acceptor.get_executor(), echo(std::move(client)), net::detached);
  }
}

net::awaitable<void> count(daemonctx::AsioSignals& signals) {
  for (;;) {
    co_await signals.async_wait_signal(SIGUSR1, net::use_awaitable);
    std::cout << connections << " connections" << std::endl;
  }
}

tcp::acceptor open(net::io_context& loop, daemonctx::DaemonContext& context, unsigned short port) {
  const auto passed = context.manager().listen_descriptors();
  if (!passed.empty()) return {loop, tcp::v4(), passed.front().fd};
  return {loop, {net::ip::address_v4::loopback(), port}};
}

int serve(daemonctx::DaemonContext& context, unsigned short port) {
  net::io_context loop;
  auto acceptor = open(loop, context, port);
  daemonctx::AsioSignals signals(loop.get_executor(), context);
  signals.async_wait_stop([&](boost::system::error_code) { loop.stop(); });
  net::co_spawn(loop, accept(acceptor), net::detached);
  net::co_spawn(loop, count(signals), net::detached);
  net::post(loop, [&] {  // runs when both coroutines have begun
    std::cout << "listening on port " << acceptor.local_endpoint().port() << std::endl;
    context.notify_ready();
  });
  loop.run();
  std::cout << "stopped with " << connections << " connections" << std::endl;
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::cerr << "usage: echo_server PIDFILE LOG PORT" << std::endl;
    return 2;
  }
  const auto log = daemonctx::StdioTarget::file(argv[2]);
  const auto port = static_cast<unsigned short>(std::stoi(argv[3]));
  return daemonctx::run({.pidfile = argv[1],
                         .stdio = {.out = log, .err = log},
                         .readiness = daemonctx::Readiness::when_notified},
                        [&](daemonctx::DaemonContext& context) { return serve(context, port); });
}
