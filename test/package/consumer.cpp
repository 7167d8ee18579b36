// SPDX-License-Identifier: BSL-1.0

// A program as users write it. Everything that the program uses comes from the installed headers. The names
// of the library stand beside those of the standard library.

#include <cstdlib>
#include <daemonctx/daemon_context.hpp>
#include <daemonctx/stop_token.hpp>
#include <iostream>

using namespace std;
using namespace daemonctx;

int main(int argc, char** argv) {
  if (argc != 2) return EXIT_FAILURE;
  try {  // thrown in the library and caught here: both must agree on the type
    DaemonContext context(
        {.working_directory = "/nonexistent/directory", .detach_process = DetachProcess::never});
    return EXIT_FAILURE;
  } catch (const DaemonError& error) {
    cout << error.what() << '\n';
  }
  return run({.pidfile = argv[1],
              .signal_map = {{SIGPIPE, Action::ignore}, {SIGTERM, Action::terminate}},
              .detach_process = DetachProcess::never},
             [](DaemonContext& context) {
               context.on_exit([] { cout << "cleaned up\n"; });
               context.request_stop();
               context.wait();
               cout << to_string(context.mode()) << '\n';
               return EXIT_SUCCESS;
             });
}
