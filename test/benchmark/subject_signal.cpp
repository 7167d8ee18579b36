// SPDX-License-Identifier: BSL-1.0

// From SIGUSR1 to the user's action with the library: PROGRAM CHANNEL

#include <signal.h>

#include <daemonctx/daemon_context.hpp>

#include "signal_channel.h"

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  SignalChannel* const channel = channel_open(argv[1]);
  daemonctx::DaemonContext context(
      {.signal_map = {{SIGUSR1, [channel](const daemonctx::SignalInfo&) { channel_act(channel); }}},
       .detach_process = daemonctx::DetachProcess::never});
  channel->ready = 1;
  context.wait();
}
