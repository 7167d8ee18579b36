// SPDX-License-Identifier: BSL-1.0

// From SIGUSR1 to the user's action with libdaemon: PROGRAM CHANNEL

#include <libdaemon/dsignal.h>
#include <signal.h>
#include <sys/select.h>

#include "signal_channel.h"

int main(int argc, char** argv) {
  if (argc != 2 || daemon_signal_init(SIGUSR1, 0) < 0) return 2;
  struct SignalChannel* channel = channel_open(argv[1]);
  channel->ready = 1;
  for (;;) {
    fd_set readable;
    FD_ZERO(&readable);
    FD_SET(daemon_signal_fd(), &readable);
    if (select(FD_SETSIZE, &readable, 0, 0, 0) < 1) continue;
    if (daemon_signal_next() == SIGUSR1) channel_act(channel);
  }
}
