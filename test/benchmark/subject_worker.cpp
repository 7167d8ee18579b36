// SPDX-License-Identifier: BSL-1.0

// The service of reference_worker.c under a supervisor, with the library: PROGRAM FIFO DELAY

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <daemonctx/daemon_context.hpp>

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
  const int fifo = ::open(argv[1], O_WRONLY | O_CLOEXEC);
  if (fifo == -1 || ::dprintf(fifo, "%d\n", static_cast<int>(context.pid())) < 0) return 1;
  ::close(fifo);
  context.wait();
}
