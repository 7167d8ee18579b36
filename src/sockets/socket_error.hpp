// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "daemonctx/error.hpp"
#include "daemonctx/socket.hpp"
#include "posix/retry.hpp"

namespace daemonctx {

/// Errors of `Step::open_sockets`. Their subject is the address, their text also names the socket.

inline DaemonError socket_error(const ListenSocket& socket, std::error_code code, const std::string& reason) {
  return {Step::open_sockets, code, socket.address,
          "cannot listen on \"" + socket.address + "\" for the socket \"" + socket.name + "\": " + reason};
}

/// The error of the last system call.
inline DaemonError socket_error(const ListenSocket& socket) {
  const auto code = posix::last_error();
  return socket_error(socket, code, code.message());
}

inline DaemonError socket_error(const ListenSocket& socket, std::errc code, const std::string& reason) {
  return socket_error(socket, std::make_error_code(code), reason);
}

}  // namespace daemonctx
