// SPDX-License-Identifier: BSL-1.0

// daemon(3): one fork, no lock, and the caller exits before the daemon is ready.

#include <stdio.h>
#include <unistd.h>

#include "service.h"

static void write_pid(const char* path) {
  FILE* file = fopen(path, "w");
  if (file == NULL) _exit(1);
  fprintf(file, "%d\n", (int)getpid());
  fclose(file);
}

int main(int argc, char** argv) {
  struct Service service = service_from_arguments(argc, argv);
  service_prepare(&service);
  if (daemon(0, 0) == -1) return 1;
  write_pid(service.pidfile);
  service_catch_stop();
  service_ready(&service);
  service_work_until_stop(&service);
  unlink(service.pidfile);
  return 0;
}
