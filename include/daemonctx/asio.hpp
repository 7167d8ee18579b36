// SPDX-License-Identifier: BSL-1.0
#pragma once

// Support for Boost.Asio. Header-only; no other public header includes Boost.Asio.

#include <unistd.h>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/compose.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <functional>
#include <memory>
#include <string_view>
#include <utility>

#include "daemonctx/daemon_context.hpp"
#include "daemonctx/detail/connection_queue.hpp"
#include "daemonctx/detail/signal_pump.hpp"

namespace daemonctx {

/// Waits for the signals of a context in Asio's event loop. While an operation of this object is pending, the
/// loop runs the signal actions (reload, your own) and the watchdog's pings. Keep one operation pending,
/// usually `async_wait_stop`. Not for `SignalDelivery::on_own_thread`, whose thread runs the actions instead.
///
/// The operations are ordinary asynchronous operations: callbacks, futures, coroutines. Thread-safety: as for
/// Asio's I/O objects. If several threads run the loop, the executor and the handlers' executors must be one
/// strand. The io_context and this object must end before the daemon context.
class AsioSignals {
 public:
  /// \throws boost::system::system_error if no descriptor is left.
  AsioSignals(const boost::asio::any_io_executor& executor, DaemonContext& context)
      : pump_(std::make_shared<Pump>(executor, context)) {}

  /// Calls `cancel()`.
  ~AsioSignals() { cancel(); }
  AsioSignals(const AsioSignals&) = delete;
  AsioSignals& operator=(const AsioSignals&) = delete;

  /// Completes when a stop is requested. Signature: `void(boost::system::error_code)`.
  template <class Token>
  auto async_wait_stop(Token&& token) {
    return wait<void(boost::system::error_code)>(
        [](Pump& pump) { return pump.context.stop_requested(); },
        [](Pump&, auto& self, boost::system::error_code error) { self.complete(error); },
        std::forward<Token>(token));
  }

  /// Completes once the signal has arrived since the last completion. A burst gives one completion, with the
  /// last signal. The first call maps the signal to this object, in place of its former action. Signature:
  /// `void(boost::system::error_code, SignalInfo)`.
  /// \throws std::invalid_argument, std::system_error if the signal can't be mapped.
  template <class Token>
  auto async_wait_signal(int number, Token&& token) {
    if (pump_->arrived.try_emplace(number).second) {
      pump_->context.map_signal(number, [pump = std::weak_ptr<Pump>(pump_)](const SignalInfo& info) {
        if (const auto alive = pump.lock()) alive->arrived[info.number] = info;
      });
    }
    return wait<void(boost::system::error_code, SignalInfo)>(
        [number](Pump& pump) { return pump.arrived[number].number != 0; },
        [number](Pump& pump, auto& self, boost::system::error_code error) {
          self.complete(error, error ? SignalInfo{} : std::exchange(pump.arrived[number], SignalInfo{}));
        },
        std::forward<Token>(token));
  }

  /// Pending operations complete with `operation_aborted`.
  void cancel() { pump_->end_all(boost::asio::error::operation_aborted); }

 private:
  using Pump = detail::SignalPump;

  template <class Signature, class IsDone, class Complete, class Token>
  auto wait(IsDone is_done, Complete complete, Token&& token) {
    auto operation = [pump = pump_, is_done, complete, begun = false, ends = 0U](
                         auto& self, boost::system::error_code = {}) mutable {
      if (!std::exchange(begun, true)) {
        ends = pump->ends;
        pump->begin_operation();
        if (is_done(*pump)) return boost::asio::post(pump->readable.get_executor(), std::move(self));
      }
      const bool is_ended = ends != pump->ends;
      if (!is_ended && !is_done(*pump)) return pump->dispatched.async_wait(std::move(self));
      pump->end_operation();
      complete(*pump, self, is_ended ? pump->failure : boost::system::error_code());
    };
    return boost::asio::async_compose<Token, Signature>(std::move(operation), token, pump_->readable);
  }

  std::shared_ptr<Pump> pump_;
};

/// Accepts the connections of a stream socket of `DaemonOptions::sockets`. The socket itself stays open, for
/// the next worker or a new version of the program. Thread-safety: as for Asio's I/O objects. The loop must
/// end before the daemon context. A forked child that runs its copy of the loop accepts connections, too, as
/// with every acceptor of Asio.
class AsioAcceptor {
 public:
  using Socket = boost::asio::generic::stream_protocol::socket;  ///< of TCP or a Unix socket

  /// \param handle called with each connection, from the executor, until `close()`. While no descriptor is
  ///   left, connections wait in the socket's queue.
  /// \throws std::out_of_range if no socket has that name; boost::system::system_error
  AsioAcceptor(const boost::asio::any_io_executor& executor, DaemonContext& context, std::string_view name,
               std::function<void(Socket)> handle)
      : queue_(std::make_shared<detail::ConnectionQueue>(executor, context.socket(name), std::move(handle))) {
    queue_->accept();
  }

  ~AsioAcceptor() { queue_->end(); }
  AsioAcceptor(const AsioAcceptor&) = delete;
  AsioAcceptor& operator=(const AsioAcceptor&) = delete;

  /// Handles the connections that wait in the socket's queue, and no more. The end of a service resets those
  /// that wait, unless a service manager or a new version has the socket, too.
  void close() { queue_->close(); }

 private:
  std::shared_ptr<detail::ConnectionQueue> queue_;
};

/// Becomes a daemon with an existing io_context, and tells `loop` of the fork (`notify_fork`). `loop` must
/// not be running, nor have threads. No descriptor is closed, whatever `close_descriptors` says: the library
/// does not know which of them the loop needs. Prefer to make the loop after the context.
/// \throws what `DaemonContext` throws.
inline DaemonContext become_daemon(boost::asio::execution_context& loop, DaemonOptions options) {
  using Context = boost::asio::execution_context;
  struct Fork {
    explicit Fork(Context& told) : loop(told) { loop.notify_fork(Context::fork_prepare); }
    ~Fork() { loop.notify_fork(::getpid() == caller ? Context::fork_parent : Context::fork_child); }
    Fork(const Fork&) = delete;
    Fork& operator=(const Fork&) = delete;
    Context& loop;
    pid_t caller = ::getpid();
  };
  options.close_descriptors = false;
  const Fork fork(loop);
  return DaemonContext(std::move(options));
}

}  // namespace daemonctx
