// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "daemonctx/socket.hpp"
#include "posix/unique_fd.hpp"
#include "sockets/socket_address.hpp"

namespace daemonctx {

/// SOCK_STREAM, SOCK_DGRAM or SOCK_SEQPACKET.
int number_of(SocketType type) noexcept;

/// A new socket of the wanted type, close-on-exec. \throws DaemonError (`open_sockets`).
UniqueFd new_socket(const ListenSocket& socket, int family);

/// Does nothing for a datagram socket. \throws DaemonError (`open_sockets`).
void start_listening(const ListenSocket& socket, const UniqueFd& fd);

/// Opens a socket with an IP address or an abstract name. \throws DaemonError (`open_sockets`).
UniqueFd open_without_file(const ListenSocket& socket);

/// Checks that `open_without_file` could succeed once the address is free. A concurrent start does not notice
/// the check. \throws DaemonError (`open_sockets`).
void check_without_file(const ListenSocket& socket);

}  // namespace daemonctx
