// SPDX-License-Identifier: BSL-1.0
#pragma once

// The work of every measured daemon: a few lines, the same for library, reference and peers.

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

// From the command line: PROGRAM PIDFILE [name=value...]
struct Service {
  const char* pidfile;
  const char* report;   // file for two lines: when detaching began, when the daemon was ready (ns)
  const char* witness;  // file that is locked while the service works, and tells whether it was alone
  size_t heap;          // bytes to touch before detaching
  int lock_timeout;     // milliseconds
  int single;           // fork once only
  int monitor;          // the service is the worker of a monitor, which would start it again
  unsigned linger;      // microseconds that the end takes, as of a service that has much to clean up
  int witness_fd;
};

struct Service service_from_arguments(int argc, char** argv);

// Call it in the caller, immediately before it detaches.
void service_prepare(const struct Service* service);

// Call it in the daemon, when it is ready.
void service_ready(const struct Service* service);

// Call them in the daemon, before and after its work.
void service_begin(struct Service* service);
void service_end(struct Service* service);

// For a program that has no wait of its own: service_work_until_stop() calls both, and between them only
// waits for SIGTERM.
void service_catch_stop(void);
void service_work_until_stop(struct Service* service);

#ifdef __cplusplus
}
#endif
