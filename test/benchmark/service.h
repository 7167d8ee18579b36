// SPDX-License-Identifier: BSL-1.0
#pragma once

// What every measured daemon does besides becoming one: a few lines, the same for library, reference and
// peers.

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
  unsigned linger;      // microseconds that the end takes, as of a service that has much to clean up
  int witness_fd;
};

struct Service service_from_arguments(int argc, char** argv);

// In the caller, last thing before it detaches.
void service_prepare(const struct Service* service);

// In the daemon, when it is ready.
void service_ready(const struct Service* service);

// In the daemon, around its work.
void service_begin(struct Service* service);
void service_end(struct Service* service);

// The same with nothing but a wait for SIGTERM between them, for those who have no wait of their own.
void service_catch_stop(void);
void service_work_until_stop(struct Service* service);

#ifdef __cplusplus
}
#endif
