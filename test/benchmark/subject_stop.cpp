// SPDX-License-Identifier: BSL-1.0

// A stop with the library, as a user would write it: PROGRAM PIDFILE

#include <daemonctx/controller.hpp>

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  daemonctx::Controller(argv[1]).stop();
}
