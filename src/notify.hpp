// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

#include <string_view>

namespace daemonctx {

/// Speaks to the service manager as sd_notify(3) describes: datagrams to the socket in $NOTIFY_SOCKET. Without
/// that variable nothing happens; a manager that can't be reached is no error. Thread-safe once adopted.
class Notify {
 public:
  void adopt_environment() noexcept;

  /// Takes the variable away, so that programs started later don't inherit it.
  static void clear_environment() noexcept;

  /// Speaks to nobody any more. For forked children.
  void forget() noexcept { size_ = 0; }

  /// READY=1, with MAINPID=`main_pid` unless that is 0.
  void ready(pid_t main_pid) const noexcept;

  /// RELOADING=1 with MONOTONIC_USEC, in one datagram as systemd 253 and later demand.
  void reloading() const noexcept;

  void stopping() const noexcept { send("STOPPING=1"); }
  void watchdog() const noexcept { send("WATCHDOG=1"); }

  /// STATUS=; line breaks become blanks, a long text is cut.
  void status(std::string_view text) const noexcept;

 private:
  void send(std::string_view message) const noexcept;

  sockaddr_un address_ = {};
  socklen_t size_ = 0;  // 0: no manager
};

}  // namespace daemonctx
