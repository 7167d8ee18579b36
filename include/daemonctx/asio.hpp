// SPDX-License-Identifier: BSL-1.0
#pragma once

// For Boost.Asio; header-only, and the only header of this library that includes it.

#include <unistd.h>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/compose.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/post.hpp>
#include <memory>
#include <utility>

#include "daemonctx/daemon_context.hpp"
#include "daemonctx/detail/signal_pump.hpp"

namespace daemonctx {

/// Waits for the signals of a context in Asio's event loop. Signal actions (reload, your own), and the
/// watchdog's pings, are done by the loop while an operation of this is under way: keep one pending, as a
/// rule `async_wait_stop`. Not for `SignalDelivery::on_own_thread`, whose thread runs them instead.
///
/// The operations are ordinary asynchronous ones: callbacks, futures, coroutines. Thread-safety: as of Asio's
/// I/O objects; with several threads in the loop, the executor and those of the handlers are one strand. The
/// io_context and this object end before the daemon context.
class AsioSignals {
 public:
  /// \throws boost::system::system_error when there are no descriptors left.
  AsioSignals(const boost::asio::any_io_executor& executor, DaemonContext& context)
      : pump_(std::make_shared<Pump>(executor, context)) {}

  /// As `cancel()`.
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

  /// Completes when the signal has arrived since the last time; of a burst with the last one. From the first
  /// call on it is mapped to this, instead of what it was mapped to. Signature:
  /// `void(boost::system::error_code, SignalInfo)`.
  /// \throws std::invalid_argument, std::system_error if it can't be mapped.
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

  /// Operations under way complete with `operation_aborted`.
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

/// Becomes a daemon with an io_context that is there already, and tells it of the fork (`notify_fork`). It
/// must not be running, nor have threads. No descriptor is closed, whatever `close_descriptors` says: which
/// of them the loop needs is not known. Better make the loop afterwards.
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
