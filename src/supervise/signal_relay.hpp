// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>

#include "signals/dispatcher.hpp"

namespace daemonctx {

/// A monitor's signals: hands those that a service maps on to its worker. What comes while there is none, or
/// before it has mapped them, is kept until one has: the default action would end it.
class SignalRelay {
 public:
  /// \param map of the service, with the defaults.
  /// \param on_stop called for a signal that terminates, and for SIGTERM whatever the service does about it,
  ///   before the worker gets it.
  SignalRelay(const SignalMap& map, std::function<void()> on_stop);

  int install(bool detached) noexcept { return signals_.install(detached); }

  /// In a worker that was just forked.
  void leave_to_child() noexcept { signals_.leave_to_child(); }

  /// From now on this is the worker; 0: there is none.
  void set_worker(pid_t worker);

  /// The worker has mapped one more. What can't be mapped is left alone.
  void worker_mapped(int number);

  /// The worker has acted upon a signal that was handed on to it.
  void acknowledge(int number) { handed_on_.erase(number); }

  /// The worker has ended. If it has not acted upon the signal, the next one gets it.
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
  std::uint64_t mapped_by_all_ = 0;  // before a worker runs anything of the user's
  std::uint64_t stopping_ = 0;       // call on_stop
  std::uint64_t mapped_ = 0;         // by this worker
  std::map<int, SignalInfo> held_;
  std::map<int, SignalInfo> handed_on_;  // to this worker
  pid_t worker_ = 0;
  SignalDispatcher signals_;
};

}  // namespace daemonctx
