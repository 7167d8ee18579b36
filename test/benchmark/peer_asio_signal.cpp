// SPDX-License-Identifier: BSL-1.0

// From SIGUSR1 to the user's action with Boost.Asio: PROGRAM CHANNEL

#include <signal.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <functional>

#include "signal_channel.h"

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  SignalChannel* const channel = channel_open(argv[1]);
  boost::asio::io_context loop(1);
  boost::asio::signal_set signals(loop, SIGUSR1);
  std::function<void()> wait = [&] {
    signals.async_wait([&](const boost::system::error_code&, int) {
      channel_act(channel);
      wait();
    });
  };
  wait();
  channel->ready = 1;
  loop.run();
}
