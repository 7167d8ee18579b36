// SPDX-License-Identifier: BSL-1.0

// A stop in plain C that signals no process but the daemon, and waits for an event: PROGRAM PIDFILE

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PATIENCE 10000

static pid_t holder_of(int fd) {
  struct flock lock;
  memset(&lock, 0, sizeof lock);
  lock.l_type = F_RDLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = 1;
  lock.l_len = 1;
  return fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK ? lock.l_pid : 0;
}

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const int pidfile = open(argv[1], O_RDONLY | O_CLOEXEC);
  const pid_t daemon = holder_of(pidfile);
  struct pollfd end = {(int)syscall(SYS_pidfd_open, daemon, 0), POLLIN, 0};
  // If the daemon still holds the lock, the pidfd refers to the daemon and not to a later process.
  if (daemon == 0 || end.fd == -1 || holder_of(pidfile) != daemon) return 1;
  if (syscall(SYS_pidfd_send_signal, end.fd, SIGTERM, NULL, 0) == -1) return 1;
  return poll(&end, 1, PATIENCE) == 1 ? 0 : 1;
}
