// SPDX-License-Identifier: BSL-1.0

// A service whose main loop blocks: it tells the time to each process that connects.

#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <daemonctx/daemon_context.hpp>
#include <daemonctx/stop_token.hpp>

// tag::program[]
int main(int argc, char** argv) {
  using namespace daemonctx;
  return run({.pidfile = "blocking.pid",
              .sockets = {{.name = "time", .address = argc > 1 ? argv[1] : "127.0.0.1:1313"}},
              .signal_delivery = SignalDelivery::on_own_thread},
             [](DaemonContext& context) -> int {
               const std::stop_callback stop(stop_token_of(context), [] { std::exit(0); });  // cleanups run
               for (;;) {
                 const int client = ::accept(context.socket("time"), nullptr, nullptr);
                 if (client == -1) ::sleep(1);  // there is no descriptor left
                 const std::time_t now = std::time(nullptr);
                 ::dprintf(client, "%s", std::ctime(&now));
                 ::close(client);
               }
             });
}
// end::program[]
