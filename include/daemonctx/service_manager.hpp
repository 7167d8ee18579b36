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
  std::string name;  ///< `FileDescriptorName=`, or of `store`; "unknown" if it has none
  int fd = -1;
};

/// What a service can say to the manager that started it, and got from it, as sd_notify(3), sd_listen_fds(3)
/// and sd_watchdog_enabled(3) describe; without libsystemd. Without a manager nothing happens. The manager's
/// variables ($NOTIFY_SOCKET, $WATCHDOG_*, $LISTEN_*) are taken out of the environment, so that programs that
/// the service starts don't believe they are meant.
///
/// That the service is ready, reloads and stops, and which process it is, the context tells by itself.
/// Thread-safe. After the context's end, and in a forked child, there is no manager: nothing happens.
class DAEMONCTX_EXPORT ServiceManager {
 public:
  /// Whether there is one that can be told something.
  bool is_there() const noexcept;

  /// Those from $LISTEN_FDS, in their order. They are close-on-exec, stay open when the process detaches, and
  /// are the service's to close. A datagram or a listening socket can be used as it is.
  std::vector<ListenDescriptor> listen_descriptors() const;

  /// Those of one name.
  std::vector<int> listen_descriptors(std::string_view name) const;

  /// For how long from now the manager shall wait for what it waits for: the start, a reload, the stop.
  void extend_timeout(Timeout duration) noexcept;

  /// Why the service is not well: an errno and a line to show.
  void tell_failure(int error, std::string_view text) noexcept;

  /// Has the manager keep a copy of a descriptor over a restart of the service (`FileDescriptorStoreMax=`).
  /// \param name up to 255 characters without control characters and ':'.
  /// \throws std::invalid_argument for a name that the manager would not take; std::system_error if it could
  ///   not be sent. That the manager keeps it is not known.
  void store(const std::string& name, int fd);
  /// Has it give up all of that name.
  void remove_stored(const std::string& name);

  /// Waits until the manager has read all that was said before. False: it did not within `longest`.
  /// \throws std::system_error
  bool barrier(Timeout longest);

  /// After which time without `keep_alive()` the manager kills the service; `forever`: it has no watchdog.
  /// `wait*()` tells it in half that time by itself.
  Timeout watchdog_timeout() const noexcept;

 private:
  friend class DaemonContext;
  ServiceManager(const void* context, SdNotify* notify,
                 const std::vector<ListenDescriptor>* descriptors) noexcept
      : context_(context), notify_(notify), descriptors_(descriptors) {}

  const void* context_;  // what follows is there only while that is open
  SdNotify* notify_;
  const std::vector<ListenDescriptor>* descriptors_;
};

}  // namespace daemonctx
