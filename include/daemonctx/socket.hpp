// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <string>

namespace daemonctx {

enum class SocketType { stream, datagram, seqpacket };

/// A named socket that a service listens on. Stays open from the start to the context's end:
/// `DaemonContext::socket(name)` is its descriptor. A crash of a worker, a respawn and a reload do not close
/// it, so connections that wait in its queue are not lost.
///
/// The caller opens it with the pidfile locked and with the rights of the start, or takes it from the service
/// manager: the first descriptor in $LISTEN_FDS with this name. The manager's descriptor keeps the address
/// and the flags that the manager gave it; it must have the type, and listen. Further descriptors with the
/// name stay in `ServiceManager::listen_descriptors`.
///
/// The descriptor is close-on-exec and, if the start has opened it, blocking. Another process may take the
/// connection that a poll(2) has announced: set O_NONBLOCK before you accept in an event loop.
struct ListenSocket {
  /// 1 to 255 printable ASCII characters, without ':', as for `FileDescriptorName=` of systemd.
  std::string name = {};

  /// - "127.0.0.1:80", "[::1]:80": a numeric IP address and a port. Port 0: the kernel chooses one.
  /// - "*:80": all addresses of IPv6 and IPv4; of IPv4 alone where there is no IPv6.
  /// - "/run/x.sock", "./x.sock": whatever has a slash is the path of a Unix socket. A relative path is
  ///   resolved in the caller's working directory. A socket file that nobody listens on is replaced; anything
  ///   else in its place is refused. The file is removed at the end by the monitor, or by a daemon that still
  ///   may. Otherwise it stays, and the next start replaces it.
  /// - "@name": an abstract Unix socket (unix(7)). Every local user can connect.
  std::string address = {};

  SocketType type = SocketType::stream;  ///< `seqpacket` only for Unix sockets

  /// The most connections that wait to be accepted. The kernel limits it (net.core.somaxconn).
  int backlog = 4096;

  mode_t mode = 0660;  ///< of a socket file, regardless of the umask. To connect, one must be able to write.
  std::string user = {};   ///< owner of a socket file; empty: `DaemonOptions::user`, or else the starter
  std::string group = {};  ///< empty: the group of `user`, or else `DaemonOptions::group`

  bool v6only = false;      ///< IPV6_V6ONLY: an IPv6 address such as "[::]:80" accepts no IPv4 connections
  bool reuse_port = false;  ///< SO_REUSEPORT: other sockets of the same user may share an IP address and port
};

}  // namespace daemonctx
