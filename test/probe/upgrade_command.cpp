// SPDX-License-Identifier: BSL-1.0

// Asks for an upgrade. Usage: upgrade_command PIDFILE [BINARY]

#include <daemonctx/controller.hpp>
#include <iostream>

int main(int argc, char** argv) {
  try {
    const daemonctx::UpgradeRequest request{.binary = argc > 2 ? argv[2] : ""};
    std::cout << daemonctx::Controller(argv[1]).upgrade(request).pid << std::endl;
    return 0;
  } catch (const std::exception& error) {
    std::cerr << error.what() << std::endl;
    return 1;
  }
}
