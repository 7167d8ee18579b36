// SPDX-License-Identifier: BSL-1.0
// The program of the README.
// tag::program[]
#include <daemonctx/daemon_context.hpp>
#include <iostream>

int main() {
  const auto log = daemonctx::StdioTarget::file("first_daemon.log");
  return daemonctx::run({.pidfile = "first_daemon.pid",  // in the folder where it is started
                         .stdio = {.out = log, .err = log}},
                        [](daemonctx::DaemonContext& context) {  // from here on: a daemon
                          context.on_reload([] { std::cout << "reload" << std::endl; });
                          context.on_exit([] { std::cout << "good bye" << std::endl; });
                          while (!context.wait_for(std::chrono::seconds(1))) std::cout << "beat" << std::endl;
                          return 0;
                        });
}
// end::program[]
