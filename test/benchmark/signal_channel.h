// SPDX-License-Identifier: BSL-1.0
#pragma once

// Shared by the sender of signals and the program that acts on them. Both run on one CPU, one at a time.

#include <fcntl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

struct SignalChannel {
  volatile long long acted_at;  // ns
  volatile long long actions;
  volatile long long ready;
};

static inline long long channel_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static inline struct SignalChannel* channel_open(const char* path) {
  const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd == -1 || ftruncate(fd, sizeof(struct SignalChannel)) == -1) _exit(99);
  void* memory = mmap(NULL, sizeof(struct SignalChannel), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) _exit(98);
  close(fd);
  return (struct SignalChannel*)memory;
}

// The user's action.
static inline void channel_act(struct SignalChannel* channel) {
  channel->acted_at = channel_now();
  channel->actions = channel->actions + 1;
}
