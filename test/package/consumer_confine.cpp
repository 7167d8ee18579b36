// SPDX-License-Identifier: BSL-1.0

// A program that confines itself. Its source is the same, whatever the library was built with.

#include <daemonctx/confine.hpp>
#include <daemonctx/daemon_context.hpp>
#include <iostream>

int main(int argc, char** argv) {
  if (argc != 2) return EXIT_FAILURE;
  return daemonctx::run(
      {.pidfile = argv[1],
       .detach_process = daemonctx::DetachProcess::never,
       .restrictions = {daemonctx::landlock({.read_write = {"/"}, .best_effort = true}),
                        daemonctx::system_calls({.denied = {"ptrace"}, .best_effort = true})}},
      [](daemonctx::DaemonContext&) {
        std::cout << "confined\n";
        return EXIT_SUCCESS;
      });
}
