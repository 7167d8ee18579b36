// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "daemonctx/export.hpp"
#include "daemonctx/timeout.hpp"

namespace daemonctx {

class SdNotify;

/// A descriptor that the service manager opened, such as a listening socket, or kept from an earlier run.
struct ListenDescriptor {
  std::string name;  ///< from `FileDescriptorName=` or `store`; "unknown" without a name
  int fd = -1;
};

/// Talks to the service manager that started the service, as sd_notify(3), sd_listen_fds(3) and
/// sd_watchdog_enabled(3) describe. Needs no libsystemd. Without a manager the members do nothing. The
/// manager's variables ($NOTIFY_SOCKET, $WATCHDOG_*, $LISTEN_*) are removed from the environment: programs
/// that the service starts would take them for their own.
///
/// The context itself reports readiness, reloads, the stop and the main pid. Thread-safe. After the context's
/// end, and in a forked child, the members do nothing, as without a manager.
class DAEMONCTX_EXPORT ServiceManager {
 public:
  /// True if there is a manager that can be notified.
  bool exists() const noexcept;

  /// The descriptors from $LISTEN_FDS but those of `DaemonOptions::sockets`, in their order. They are
  /// close-on-exec and stay open in a detached daemon, which has to close them. Sockets are ready for use.
  std::vector<ListenDescriptor> listen_descriptors() const;

  /// The descriptors with this name.
  std::vector<int> listen_descriptors(std::string_view name) const;

  /// Extends the manager's timeout for the start, the reload or the stop under way: `duration` from now.
  void extend_timeout(Timeout duration) noexcept;

  /// Reports to the manager why the service is not well: an errno and a line to show.
  void report_failure(int error, std::string_view text) noexcept;

  /// Asks the manager to keep a copy of `fd` across a restart of the service (`FileDescriptorStoreMax=`).
  /// \param name 1 to 255 printable ASCII characters, without ':'.
  /// \throws std::invalid_argument for a name that the manager would not accept; std::system_error if the
  ///   descriptor can't be sent. A return does not mean that the manager keeps it.
  void store(const std::string& name, int fd);
  /// Asks the manager to give up all stored descriptors with this name.
  void remove_stored(const std::string& name);

  /// Waits until the manager has read all earlier messages. False if `longest` passes before that.
  /// \throws std::system_error
  bool barrier(Timeout longest);

  /// The manager kills the service after this time without `keep_alive()`. `forever`: there is no watchdog.
  /// `wait*()` calls `keep_alive()` at half of this time.
  Timeout watchdog_timeout() const noexcept;

 private:
  friend class DaemonContext;
  ServiceManager(const void* context, unsigned life, SdNotify* notify,
                 const std::vector<ListenDescriptor>* descriptors) noexcept
      : context_(context), life_(life), notify_(notify), descriptors_(descriptors) {}

  const void* context_;  // the members below are valid only while this context is open
  unsigned life_;        // of the context: a later one may lie at the same address
  SdNotify* notify_;
  const std::vector<ListenDescriptor>* descriptors_;
};

}  // namespace daemonctx
