// SPDX-License-Identifier: BSL-1.0

// A service that writes its pid when it is ready, and waits: PROGRAM FIFO. With a third word the program is
// also the least that a supervisor can do: fork the service, wait for its end, fork the next.

#include <fcntl.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static void serve(const char* fifo) {
  const int fd = open(fifo, O_WRONLY | O_CLOEXEC);
  if (fd == -1 || dprintf(fd, "%d\n", (int)getpid()) < 0) _exit(1);
  close(fd);
  for (;;) pause();
}

int main(int argc, char** argv) {
  if (argc == 2) serve(argv[1]);
  if (argc != 3) return 2;
  for (;;) {
    const pid_t child = fork();
    if (child == -1) return 1;
    if (child == 0) serve(argv[1]);
    if (waitpid(child, NULL, 0) != child) return 1;
  }
}
