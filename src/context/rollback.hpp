// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <string>
#include <utility>
#include <vector>

#include "context/daemon_context_impl.hpp"
#include "posix/limits.hpp"
#include "posix/unique_fd.hpp"

namespace daemonctx {

/// The environment before a start has changed it. Copies nothing if the options leave it alone.
class FormerEnvironment {
 public:
  explicit FormerEnvironment(const DaemonOptions& options);
  void put_back() const noexcept;

 private:
  bool is_changed_;
  std::vector<std::pair<std::string, std::string>> variables_;
};

#pragma GCC visibility push(hidden)  // as `DaemonContext::Impl`

/// Undoes what a start in the foreground has changed, unless the start succeeds.
class Rollback {
 public:
  explicit Rollback(DaemonContext::Impl& impl);
  ~Rollback();
  Rollback(const Rollback&) = delete;
  Rollback& operator=(const Rollback&) = delete;

  void success() noexcept { succeeded_ = true; }

 private:
  DaemonContext::Impl& impl_;
  FormerEnvironment environment_;
  UniqueFd directory_;
  posix::LimitsBackup limits_;
  mode_t umask_;
  int dumpable_;
  rlimit core_{};
  bool succeeded_ = false;
};

#pragma GCC visibility pop

}  // namespace daemonctx
