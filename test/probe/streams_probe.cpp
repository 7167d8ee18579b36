// SPDX-License-Identifier: BSL-1.0

// A daemon whose std::cout has a buffer of its own, unlike that of most programs, which share that of stdout.
//
//   streams_probe PIDFILE LOG

#include <daemonctx/daemon_context.hpp>
#include <iostream>

int main(int, char** argv) {
  std::ios::sync_with_stdio(false);
  std::cout << "before the start, ";
  daemonctx::DaemonContext context({.pidfile = argv[1],
                                    .stdio = {.out = daemonctx::StdioTarget::file(argv[2])},
                                    .detach_process = daemonctx::DetachProcess::always,
                                    .readiness = daemonctx::Readiness::when_notified});
  std::cout << "before ready";
  context.notify_ready();
  std::cout << "afterwards";
}
