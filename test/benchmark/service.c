// SPDX-License-Identifier: BSL-1.0
#include "service.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

// A daemon ends by itself after this many seconds, since a driver that was killed cannot stop it.
#define LONGEST_LIFE 300

static volatile sig_atomic_t stopped;

static void stop(int number) {
  (void)number;
  stopped = 1;
}

static void append(const char* path, const char* line, int size) {
  int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd == -1 || write(fd, line, (size_t)size) != size) _exit(99);
  close(fd);
}

static void report_time(const struct Service* service) {
  if (service->report == NULL) return;
  struct timespec now;
  char line[32];
  clock_gettime(CLOCK_MONOTONIC, &now);
  append(service->report, line,
         snprintf(line, sizeof line, "%lld\n", now.tv_sec * 1000000000LL + now.tv_nsec));
}

static const char* value_of(const char* name, int argc, char** argv) {
  const size_t length = strlen(name);
  for (int i = 2; i < argc; ++i) {
    if (strncmp(argv[i], name, length) == 0 && argv[i][length] == '=') return argv[i] + length + 1;
  }
  return NULL;
}

static size_t number_of(const char* name, int argc, char** argv) {
  const char* value = value_of(name, argc, argv);
  return value == NULL ? 0 : strtoull(value, NULL, 10);
}

// Uses ordinary pages: a heap of many small objects has few huge pages.
static void touch_heap(size_t size) {
  char* heap = (char*)mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (heap == MAP_FAILED) _exit(98);
  madvise(heap, size, MADV_NOHUGEPAGE);
  for (size_t at = 0; at < size; at += 4096) heap[at] = 1;
}

struct Service service_from_arguments(int argc, char** argv) {
  struct Service service;
  if (argc < 2) _exit(97);
  service.pidfile = argv[1];
  service.report = value_of("report", argc, argv);
  service.witness = value_of("witness", argc, argv);
  service.heap = number_of("heap", argc, argv);
  service.lock_timeout = (int)number_of("lock_timeout", argc, argv);
  service.single = (int)number_of("single", argc, argv);
  service.monitor = (int)number_of("monitor", argc, argv);
  service.linger = (unsigned)number_of("linger", argc, argv);
  service.witness_fd = -1;
  return service;
}

void service_prepare(const struct Service* service) {
  if (service->heap != 0) touch_heap(service->heap);
  report_time(service);
}

void service_ready(const struct Service* service) { report_time(service); }

void service_begin(struct Service* service) {
  alarm(LONGEST_LIFE);
  if (service->witness == NULL) return;
  service->witness_fd = open(service->witness, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (service->witness_fd == -1) _exit(96);
  const int alone = flock(service->witness_fd, LOCK_EX | LOCK_NB) == 0;
  if (dprintf(service->witness_fd, "%s %d\n", alone ? "alone" : "second", (int)getpid()) < 0) _exit(95);
}

void service_end(struct Service* service) {
  if (service->linger != 0) usleep(service->linger);
  if (service->witness_fd != -1) close(service->witness_fd);
  service->witness_fd = -1;
}

void service_catch_stop(void) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = stop;
  sigaction(SIGTERM, &action, NULL);
}

void service_work_until_stop(struct Service* service) {
  sigset_t none, term;
  sigemptyset(&none);
  sigemptyset(&term);
  sigaddset(&term, SIGTERM);
  sigprocmask(SIG_BLOCK, &term, NULL);
  service_begin(service);
  while (!stopped) sigsuspend(&none);
  service_end(service);
}
