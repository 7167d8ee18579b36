// SPDX-License-Identifier: BSL-1.0

// A TCP server that stops without cutting anybody off: it takes no more connections, and ends once those that
// are open have ended, or after the limit. It answers each line with "you said ...".

#include <utility>  // boost/asio.hpp 1.74 needs it and does not include it

#include <boost/asio.hpp>
#include <cstdlib>
#include <daemonctx/asio.hpp>
#include <iostream>
#include <string>

namespace net = boost::asio;
using net::ip::tcp;

int connections = 0;

net::awaitable<void> talk(tcp::socket client) {
  ++connections;
  try {
    for (std::string text;;) {
      const auto size =
          co_await net::async_read_until(client, net::dynamic_buffer(text, 4096), '\n', net::use_awaitable);
      co_await net::async_write(client, net::buffer("you said " + text.substr(0, size)), net::use_awaitable);
      text.erase(0, size);
    }
  } catch (const boost::system::system_error&) {  // the client has gone
    --connections;
  }
}

net::awaitable<void> accept(tcp::acceptor& acceptor) {
  while (acceptor.is_open()) {
    auto client = co_await acceptor.async_accept(net::use_awaitable);
    net::co_spawn(acceptor.get_executor(), talk(std::move(client)), net::detached);
  }
}

// tag::program[]
int serve(daemonctx::DaemonContext& context, std::chrono::seconds limit) {
  net::io_context loop;
  tcp::acceptor acceptor(loop, {net::ip::address_v4::loopback(), 0});
  daemonctx::AsioSignals signals(loop.get_executor(), context);
  signals.async_wait_stop([&](boost::system::error_code) { loop.stop(); });
  net::co_spawn(loop, accept(acceptor), net::detached);
  context.notify_ready();
  std::cout << "port " << acceptor.local_endpoint().port() << std::endl;
  loop.run();
  // Accept the connections that are waiting already: close() would reset them.
  acceptor.non_blocking(true);
  for (boost::system::error_code error;;) {
    auto client = acceptor.accept(error);
    if (error) break;
    net::co_spawn(loop, talk(std::move(client)), net::detached);
  }
  acceptor.close();
  context.notify_status("waits until the open connections end");
  loop.restart();
  loop.run_for(limit);  // returns earlier once nothing is left to do
  std::cout << "ends with " << connections << " connections" << std::endl;
  return 0;
}

int main(int argc, char** argv) {
  const auto log = daemonctx::StdioTarget::file("drain.log");
  return daemonctx::run({.pidfile = "drain.pid",
                         .stdio = {.out = log, .err = log},
                         .readiness = daemonctx::Readiness::when_notified},
                        [&](daemonctx::DaemonContext& context) {
                          return serve(context, std::chrono::seconds(argc > 1 ? std::atoi(argv[1]) : 8));
                        });
}
// end::program[]
