// SPDX-License-Identifier: BSL-1.0

// A daemon with the library, as a user would write it.

#include <daemonctx/daemon_context.hpp>

#include "service.h"

int main(int argc, char** argv) {
  Service service = service_from_arguments(argc, argv);
  service_prepare(&service);
  return daemonctx::run({.pidfile = service.pidfile,
                         .pidfile_options = {.lock_timeout = std::chrono::milliseconds(service.lock_timeout)},
                         .detach_process = daemonctx::DetachProcess::always,
                         .respawn = service.monitor != 0},
                        [&service](daemonctx::DaemonContext& context) {
                          service_ready(&service);
                          context.on_exit([&service] { service_end(&service); });
                          service_begin(&service);
                          context.wait();
                          return 0;
                        });
}
