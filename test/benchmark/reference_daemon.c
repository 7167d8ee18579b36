// SPDX-License-Identifier: BSL-1.0

// The limit: the least that plain C can do for a daemon with a locked pidfile and a caller that knows when
// the daemon is ready. The start forks twice, or once with single=1.

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "service.h"

struct Start {
  int null_device;
  int pidfile;
  int pipe[2];
};

static void give_up(const char* what) {
  perror(what);
  _exit(1);
}

static struct flock lock_on(off_t byte) {
  struct flock lock;
  memset(&lock, 0, sizeof lock);
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = byte;
  lock.l_len = 1;
  return lock;
}

static pid_t holder_of(int fd) {
  struct flock lock = lock_on(1);
  return fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK ? lock.l_pid : 0;
}

// Waits for the holder's pid: the holder locks byte 1 only when it has become the daemon.
static void refuse(int fd) {
  const struct timespec moment = {0, 1000000};
  pid_t holder = holder_of(fd);
  for (int tries = 0; holder == 0 && tries < 2000; ++tries) {
    nanosleep(&moment, NULL);
    holder = holder_of(fd);
  }
  dprintf(STDERR_FILENO, "already running, pid %d\n", (int)holder);
  _exit(1);
}

static int still_there(const char* path, int fd) {
  struct stat by_path, by_descriptor;
  return lstat(path, &by_path) == 0 && fstat(fd, &by_descriptor) == 0 &&
         by_path.st_dev == by_descriptor.st_dev && by_path.st_ino == by_descriptor.st_ino;
}

static int lock_pidfile(const char* path) {
  for (;;) {
    const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0644);
    struct flock lock = lock_on(0);
    if (fd == -1) give_up(path);
    if (fcntl(fd, F_OFD_SETLK, &lock) == -1) refuse(fd);
    if (still_there(path, fd)) return fd;
    close(fd);
  }
}

static struct Start open_all(const char* pidfile) {
  struct Start start;
  start.null_device = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (start.null_device == -1) give_up("/dev/null");
  start.pidfile = lock_pidfile(pidfile);
  if (pipe2(start.pipe, O_CLOEXEC) == -1) give_up("pipe");
  return start;
}

static int wait_until_ready(pid_t child, const struct Start* start, int is_intermediate) {
  char ready = 0;
  close(start->pipe[1]);
  if (is_intermediate) waitpid(child, NULL, 0);
  return read(start->pipe[0], &ready, 1) == 1 ? 0 : 1;
}

// Keeps the descriptors of `start`. A descriptor that was opened later has a higher number.
static void close_inherited(const struct Start* start) {
  const int kept[] = {start->null_device, start->pidfile, start->pipe[1]};
  unsigned first = 3;
  for (int i = 0; i < 3; ++i) {
    if ((unsigned)kept[i] > first) syscall(SYS_close_range, first, (unsigned)kept[i] - 1, 0);
    first = (unsigned)kept[i] + 1;
  }
  syscall(SYS_close_range, first, ~0U, 0);
}

static void write_pid(int fd) {
  char text[16];
  const int size = snprintf(text, sizeof text, "%d\n", (int)getpid());
  struct flock lock = lock_on(1);
  if (fcntl(fd, F_SETLK, &lock) == -1 || ftruncate(fd, 0) == -1 || pwrite(fd, text, (size_t)size, 0) != size)
    give_up("pidfile");
}

static void become_daemon(struct Start* start) {
  close_inherited(start);
  umask(022);
  write_pid(start->pidfile);
  if (chdir("/") == -1) give_up("chdir");
  service_catch_stop();
  for (int stream = 0; stream < 3; ++stream) dup2(start->null_device, stream);
  close(start->null_device);
  if (write(start->pipe[1], "", 1) != 1) _exit(1);
  close(start->pipe[1]);
}

int main(int argc, char** argv) {
  struct Service service = service_from_arguments(argc, argv);
  service_prepare(&service);
  struct Start start = open_all(service.pidfile);
  const pid_t child = fork();
  if (child == -1) give_up("fork");
  if (child > 0) _exit(wait_until_ready(child, &start, !service.single));
  setsid();
  if (!service.single && fork() != 0) _exit(0);
  become_daemon(&start);
  service_ready(&service);
  service_work_until_stop(&service);
  if (still_there(service.pidfile, start.pidfile)) unlink(service.pidfile);
  return 0;
}
