// SPDX-License-Identifier: BSL-1.0

// The smallest program with the library: what it costs, every program pays.
//
//   minimal_daemon PIDFILE

#include <daemonctx/daemon_context.hpp>

int main(int, char** argv) {
  daemonctx::DaemonContext context({.pidfile = argv[1], .detach_process = daemonctx::DetachProcess::always});
  context.wait();
}
