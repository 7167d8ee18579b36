// SPDX-License-Identifier: BSL-1.0

// A service whose crashes show their stacks.

#include <daemonctx/daemon_context.hpp>
#include <daemonctx/stack_resolver.hpp>
#include <iostream>

int main(int argc, char** argv) {
  if (argc != 2) return EXIT_FAILURE;
  return daemonctx::run({.pidfile = argv[1],
                         .detach_process = daemonctx::DetachProcess::never,
                         .respawn = true,
                         .respawn_policy = {.crash_report = daemonctx::stack_resolver()}},
                        [](daemonctx::DaemonContext&) {
                          std::cout << "explained" << std::endl;
                          return EXIT_SUCCESS;
                        });
}
