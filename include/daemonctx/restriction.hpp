// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <vector>

#include "daemonctx/detail/handle.hpp"
#include "daemonctx/export.hpp"

namespace daemonctx {

struct DaemonOptions;

/// Rights that a daemon gives up for good before its service begins. `daemonctx/confine.hpp` has restrictions
/// for capabilities, Landlock and seccomp; a program may write its own.
///
/// The functions are called in this order, `prepare` in the caller. `before_change_of_user`,
/// `after_change_of_user` and `apply` run in the daemon, in its only thread, and must neither allocate nor
/// lock. They return 0, or an errno with which the start fails. A restriction belongs to one start at a time.
class DAEMONCTX_EXPORT Restriction {
 public:
  Restriction() = default;
  Restriction(const Restriction&) = delete;
  Restriction& operator=(const Restriction&) = delete;
  virtual ~Restriction() = default;

  /// The name in messages, as in "cannot apply the system call filter: Operation not permitted".
  virtual const char* name() const noexcept = 0;

  /// Prepares as much as possible, and reports what is wrong. Called in the caller for each start, after
  /// `create_directories` are made.
  /// \param options with absolute paths.
  /// \throws std::exception, whose text is shown.
  virtual void prepare(const DaemonOptions& options) = 0;

  /// The descriptors that `prepare` opened for the daemon.
  virtual std::vector<int> descriptors() const { return {}; }

  /// The capabilities that the daemon keeps when it becomes another user, one bit each (capabilities(7)).
  virtual std::uint64_t kept_capabilities() const noexcept { return 0; }

  virtual int before_change_of_user() noexcept { return 0; }
  virtual int after_change_of_user() noexcept { return 0; }

  /// Runs last before the service begins, in the foreground too, where its effect can't be undone.
  virtual int apply() noexcept { return 0; }
};

/// A `std::shared_ptr` to a restriction, or a plain pointer to one that outlives the start.
using RestrictionHandle = detail::Handle<Restriction>;

}  // namespace daemonctx
