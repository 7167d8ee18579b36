// SPDX-License-Identifier: BSL-1.0
#pragma once

// For Boost.Asio; header-only, and the only header of this library that includes it.

#include <fcntl.h>
#include <unistd.h>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/compose.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <map>
#include <memory>
#include <utility>

#include "daemonctx/daemon_context.hpp"

namespace daemonctx {

/// Waits for the signals of a context in Asio's event loop. Signal actions (reload, cleanups of children, your own) run
/// while an operation of this is under way: keep one pending, as a rule `async_wait_stop`.
///
/// The operations are ordinary asynchronous ones: callbacks, futures, coroutines. Thread-safety: as of Asio's I/O objects.
/// The io_context and this object end before the daemon context.
class AsioSignals {
 public:
  AsioSignals(const boost::asio::any_io_executor& executor, DaemonContext& context)
      : state_(std::make_shared<State>(executor, context)) {}

  /// Completes when a stop is requested. Signature: `void(boost::system::error_code)`.
  template <class Token>
  auto async_wait_stop(Token&& token) {
    return wait<void(boost::system::error_code)>(
        [](State& state) { return state.context.stop_requested(); },
        [](State&, auto& self, boost::system::error_code error) { self.complete(error); },
        std::forward<Token>(token));
  }

  /// Completes when the signal has arrived since the last time; of a burst with the last one. From the first call on it is
  /// mapped to this, instead of what it was mapped to. Signature: `void(boost::system::error_code, SignalInfo)`.
  /// \throws std::invalid_argument, std::system_error if it can't be mapped.
  template <class Token>
  auto async_wait_signal(int number, Token&& token) {
    if (state_->arrived.try_emplace(number).second) {
      state_->context.map_signal(number, [state = std::weak_ptr<State>(state_)](const SignalInfo& info) {
        if (const auto alive = state.lock()) alive->arrived[info.number] = info;
      });
    }
    return wait<void(boost::system::error_code, SignalInfo)>(
        [number](State& state) { return state.arrived[number].number != 0; },
        [number](State& state, auto& self, boost::system::error_code error) {
          self.complete(error, std::exchange(state.arrived[number], SignalInfo{}));
        },
        std::forward<Token>(token));
  }

  /// Operations under way complete with `operation_aborted`.
  void cancel() { state_->readable.cancel(); }

 private:
  struct State {
    State(const boost::asio::any_io_executor& executor, DaemonContext& daemon)
        : context(daemon),
          readable(executor, ::fcntl(daemon.signal_fd(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1)) {}

    DaemonContext& context;
    boost::asio::posix::stream_descriptor readable;
    std::map<int, SignalInfo> arrived;  // with the number 0: not since the last time
  };

  template <class Signature, class IsDone, class Complete, class Token>
  auto wait(IsDone is_done, Complete complete, Token&& token) {
    auto operation = [state = state_, is_done, complete, begun = false](
                         auto& self, boost::system::error_code error = {}) mutable {
      if (std::exchange(begun, true) && !error) state->context.dispatch();
      else if (!error && is_done(*state))
        return boost::asio::post(state->readable.get_executor(), std::move(self));
      if (error || is_done(*state)) return complete(*state, self, error);
      auto& readable = state->readable;
      readable.async_wait(boost::asio::posix::stream_descriptor::wait_read, std::move(self));
    };
    return boost::asio::async_compose<Token, Signature>(std::move(operation), token, state_->readable);
  }

  std::shared_ptr<State> state_;
};

/// Becomes a daemon with an io_context that is there already, and tells it of the fork (`notify_fork`). It must not be
/// running, nor have threads. No descriptor is closed, whatever `close_descriptors` says: which of them the loop needs is
/// not known. Better make the loop afterwards.
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
