// SPDX-License-Identifier: BSL-1.0

// A program as users write it. Everything that the program uses comes from the installed headers.

#include <cstdlib>
#include <daemonctx/daemon_context.hpp>
#include <iostream>

int main(int argc, char** argv) {
  if (argc != 2) return EXIT_FAILURE;
  try {  // thrown in the library and caught here: both must agree on the type
    daemonctx::DaemonContext context(
        {.working_directory = "/nonexistent/directory", .detach_process = daemonctx::DetachProcess::never});
    return EXIT_FAILURE;
  } catch (const daemonctx::DaemonError& error) {
    std::cout << error.what() << '\n';
  }
  return daemonctx::run({.pidfile = argv[1], .detach_process = daemonctx::DetachProcess::never},
                        [](daemonctx::DaemonContext& context) {
                          context.on_exit([] { std::cout << "cleaned up\n"; });
                          context.request_stop();
                          context.wait();
                          std::cout << to_string(context.mode()) << '\n';
                          return EXIT_SUCCESS;
                        });
}
