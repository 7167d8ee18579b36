// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>

#include "signals/dispatcher.hpp"

namespace daemonctx {

/// Hands the signals that a service maps on from the monitor to its worker. A signal that comes without a
/// worker, or before the worker has mapped it, is kept until a worker has mapped it. The default action would
/// end the worker.
class SignalRelay {
 public:
  /// \param map of the service, with the defaults.
  /// \param on_stop called for a signal that terminates, and for SIGTERM even if the service maps it to a
  ///   function, before the worker gets the signal.
  /// \param on_refusal called with a signal that the worker can't be sent, and an errno.
  /// \param on_upgrade called for a signal that asks for an upgrade, which no worker gets.
  /// \param on_dropped called with the bits of the held signals that no worker will get.
  SignalRelay(const SignalMap& map, std::function<void()> on_stop,
              std::function<void(int number, int error)> on_refusal,
              std::function<void(const SignalInfo&)> on_upgrade,
              std::function<void(std::uint64_t signals)> on_dropped);

  int install(bool detached) noexcept { return signals_.install(detached); }

  /// Call it in a worker that was just forked.
  void leave_to_child() noexcept { signals_.leave_to_child(); }

  /// From now on `worker` gets the signals; 0: there is no worker.
  /// \param mapped the signals that it has mapped already, as bits.
  void set_worker(pid_t worker, std::uint64_t mapped = 0);

  /// What `worker` has mapped, as bits.
  std::uint64_t mapped() const noexcept { return mapped_; }

  /// For a program that is executed in place of this one: puts the dispositions back that `install` found,
  /// and sends what is held to this process again. \return the signals that must be blocked until that
  /// program handles them. \pre All signals are blocked, and none is to be dispatched. `install` undoes it.
  sigset_t leave_to_program();

  /// The worker has mapped signal `number`, too. A signal that can't be mapped is left alone.
  void worker_mapped(int number);

  /// The worker is ready and waits for signals: a held signal that it has not mapped gets its default action.
  void release();

  /// The worker has acted upon a signal that was handed on to it.
  void acknowledge(int number) { handed_on_.erase(number); }

  /// The worker has ended. If it has not acted upon the signal, the next worker gets the signal.
  void requeue(int number);

  /// Readable while `dispatch` has something to do.
  static int fd() noexcept { return SignalDispatcher::fd(); }
  void dispatch() { signals_.dispatch(); }

 private:
  SignalMap relayed(const SignalMap& map);
  void take(const SignalInfo& info);
  void stop(const SignalInfo& info);
  void hand_on(const SignalInfo& info);
  void hand_on_held();

  std::function<void()> on_stop_;
  std::function<void(int number, int error)> on_refusal_;
  std::function<void(const SignalInfo&)> on_upgrade_;
  std::uint64_t mapped_by_all_ = 0;  // by each worker, before it runs the user's code
  std::uint64_t stopping_ = 0;       // call on_stop
  std::uint64_t mapped_ = 0;         // by this worker
  std::map<int, SignalInfo> held_;
  std::map<int, SignalInfo> handed_on_;  // to this worker
  pid_t worker_ = 0;
  SignalDispatcher signals_;
};

}  // namespace daemonctx
