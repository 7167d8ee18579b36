// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <functional>
#include <thread>

#include "posix/unique_fd.hpp"
#include "process/private_fd.hpp"
#include "upgrade/hand_over.hpp"

namespace daemonctx {

/// This process as one that an upgrade has started, from its start until it is the service. Its predecessor
/// says when this process may claim the pidfile. If the predecessor ends first, this process claims
/// it at once.
class Heir {
 public:
  explicit Heir(HandOver record);
  ~Heir() { end(); }
  Heir(const Heir&) = delete;
  Heir& operator=(const Heir&) = delete;

  /// What is not taken over yet: whoever takes a descriptor removes it from the record.
  HandOver& record() noexcept { return record_; }

  /// Leads descriptors 1 and 2 to where the predecessor's lead. \return 0 or an errno.
  int put_output_back() noexcept;

  /// What the thread of `await_claim` calls.
  struct Steps {
    std::function<int(bool predecessor_lives)> claim;        ///< takes the locks; returns 0 or an errno
    std::function<void(bool predecessor_lives)> be_service;  ///< once the predecessor was told
    std::function<void(int error)> give_up;                  ///< if `claim` failed, and no predecessor lives
  };

  /// Waits for the predecessor on a thread of its own. \throws std::system_error
  void await_claim(Steps steps);

  /// Stops waiting.
  void end() noexcept;

  void append_descriptors(std::vector<int>& to) const;

 private:
  void wait(const Steps& steps) noexcept;
  ssize_t receive() noexcept;
  void break_off() noexcept;
  int tell_claimed() noexcept;

  HandOver record_;
  process::PrivateFd channel_;
  UniqueFd output_;
  UniqueFd error_;
  std::thread thread_;
  std::atomic<bool> has_ended_ = false;
};

}  // namespace daemonctx
