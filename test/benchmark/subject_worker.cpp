// SPDX-License-Identifier: BSL-1.0

// The service of reference_worker.c under a supervisor, with the library: PROGRAM FIFO DELAY

#include <daemonctx/daemon_context.hpp>
#include <fstream>

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const daemonctx::RespawnPolicy policy{.first_delay = std::chrono::milliseconds(std::stoi(argv[2])),
                                        .factor = 1,
                                        .max_restarts = 1000,
                                        .window = std::chrono::hours(1)};
  daemonctx::DaemonContext context({.detach_process = daemonctx::DetachProcess::never,
                                    .on_error = [](auto, auto) {},
                                    .respawn = true,
                                    .respawn_policy = policy});
  std::ofstream(argv[1]) << context.pid() << std::endl;
  context.wait();
}
