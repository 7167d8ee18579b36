// SPDX-License-Identifier: BSL-1.0

// From SIGUSR1 to the user's action in plain C: PROGRAM CHANNEL handler|flag|pipe
// - handler: the action runs inside the handler, where few actions are safe
// - flag: the handler sets a flag, ppoll(2) returns, the action runs
// - pipe: the handler writes a byte, poll(2) returns, the byte is read, the action runs

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "signal_channel.h"

static struct SignalChannel* channel;
static volatile sig_atomic_t arrived;
static int wake[2];

static void act(int number) {
  (void)number;
  channel_act(channel);
}

static void set_flag(int number) {
  (void)number;
  arrived = 1;
}

static void write_byte(int number) {
  const int saved = errno;
  const char byte = (char)number;
  if (write(wake[1], &byte, 1) == -1) _exit(97);
  errno = saved;
}

static void handle(void (*handler)(int)) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  sigaction(SIGUSR1, &action, NULL);
  channel->ready = 1;
}

static void run_handler(void) {
  handle(act);
  for (;;) pause();
}

static void run_flag(void) {
  sigset_t blocked, open;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGUSR1);
  sigprocmask(SIG_BLOCK, &blocked, &open);
  handle(set_flag);
  for (;;) {
    ppoll(NULL, 0, NULL, &open);
    if (!arrived) continue;
    arrived = 0;
    channel_act(channel);
  }
}

static void run_pipe(void) {
  if (pipe2(wake, O_CLOEXEC | O_NONBLOCK) == -1) _exit(96);
  struct pollfd readable = {wake[0], POLLIN, 0};
  char byte = 0;
  handle(write_byte);
  for (;;) {
    if (poll(&readable, 1, -1) == 1 && read(wake[0], &byte, 1) == 1) channel_act(channel);
  }
}

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  channel = channel_open(argv[1]);
  if (strcmp(argv[2], "handler") == 0) run_handler();
  if (strcmp(argv[2], "flag") == 0) run_flag();
  run_pipe();
}
