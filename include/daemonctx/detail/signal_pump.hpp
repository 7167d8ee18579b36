// SPDX-License-Identifier: BSL-1.0
#pragma once

// Part of daemonctx/asio.hpp: do not include it directly.

#include <fcntl.h>
#include <unistd.h>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <map>
#include <memory>
#include <utility>

#include "daemonctx/daemon_context.hpp"

namespace daemonctx::detail {

/// Runs a context's signal actions in Asio's loop while operations of `AsioSignals` are pending.
//
// One wait for the descriptor serves all operations: the descriptor wakes only one waiter, and its dispatch
// takes the signals of all. The operations wait for a timer that never expires, but is cancelled after each
// dispatch.
struct SignalPump : std::enable_shared_from_this<SignalPump> {
  SignalPump(const boost::asio::any_io_executor& executor, DaemonContext& daemon)
      : context(daemon),
        readable(executor, ::fcntl(daemon.signal_fd(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1)),
        dispatched(executor, std::chrono::steady_clock::time_point::max()),
        ping(executor),
        again(executor) {}

  void begin_operation() {
    if (waiting++ == 0) keep_alive();
    pump();
  }
  void end_operation() {
    if (--waiting > 0) return;
    readable.cancel();
    ping.cancel();
    again.cancel();
  }
  void end_all(boost::system::error_code error) {
    failure = error;
    ++ends;
    dispatched.cancel();
  }
  void pump() {
    if (std::exchange(pumps, true)) return;
    readable.async_wait(
        boost::asio::posix::stream_descriptor::wait_read,
        [self = shared_from_this()](boost::system::error_code error) { self->pumped(error); });
  }
  void pumped(boost::system::error_code error) {
    pumps = false;
    if (error && error != boost::asio::error::operation_aborted) return end_all(error);
    if (waiting == 0) return;
    dispatch();
    pump();
  }
  void dispatch() {
    const auto next = context.dispatch();
    dispatched.cancel();
    if (next == std::chrono::steady_clock::time_point::max()) return;
    again.expires_at(next);
    again.async_wait([self = shared_from_this()](boost::system::error_code error) {
      if (!error && self->waiting > 0) self->dispatch();
    });
  }
  void keep_alive() {
    const auto timeout = context.manager().watchdog_timeout();
    if (timeout.is_forever()) return;
    context.keep_alive();
    ping.expires_after(timeout.length() / 2);
    ping.async_wait([self = shared_from_this()](boost::system::error_code error) {
      if (!error && self->waiting > 0) self->keep_alive();
    });
  }

  DaemonContext& context;
  boost::asio::posix::stream_descriptor readable;
  boost::asio::steady_timer dispatched;
  boost::asio::steady_timer ping;
  boost::asio::steady_timer again;
  std::map<int, SignalInfo> arrived;  // number 0: not arrived since the last completion
  boost::system::error_code failure;
  unsigned ends = 0;  // how often `end_all` has run
  unsigned waiting = 0;
  bool pumps = false;
};

}  // namespace daemonctx::detail
