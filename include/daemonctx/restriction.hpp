// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <vector>

#include "daemonctx/export.hpp"

namespace daemonctx {

struct DaemonOptions;

/// Something that a daemon gives up for good before its service begins. `daemonctx/confine.hpp` makes those
/// for capabilities, Landlock and seccomp; a program may write one of its own.
///
/// The functions are called in this order. All but the first run in the daemon, in its only thread, where
/// they must neither allocate nor lock; they return 0 or an errno, and the start fails with that. A
/// restriction belongs to one start at a time.
class DAEMONCTX_EXPORT Restriction {
 public:
  Restriction() = default;
  Restriction(const Restriction&) = delete;
  Restriction& operator=(const Restriction&) = delete;
  virtual ~Restriction() = default;

  /// As in the message "cannot apply the system call filter: Operation not permitted".
  virtual const char* name() const noexcept = 0;

  /// Makes ready whatever can be, and finds out what is wrong. Called in the caller, when
  /// `create_directories` are there, again for each start.
  /// \param options with absolute paths.
  /// \throws std::exception, whose text is shown.
  virtual void prepare(const DaemonOptions& options) = 0;

  /// What `prepare` opened and the daemon needs.
  virtual std::vector<int> descriptors() const { return {}; }

  /// The capabilities that the daemon keeps when it becomes another user, a bit for each (capabilities(7)).
  virtual std::uint64_t kept_capabilities() const noexcept { return 0; }

  virtual int before_change_of_user() noexcept { return 0; }
  virtual int after_change_of_user() noexcept { return 0; }

  /// The last thing before the service begins; in the foreground too, where it can't be taken back.
  virtual int apply() noexcept { return 0; }
};

}  // namespace daemonctx
