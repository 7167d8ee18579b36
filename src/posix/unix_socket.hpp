// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/un.h>

#include <posix/syscalls.hpp>
#include <string_view>

#include "posix/unique_fd.hpp"

namespace daemonctx::posix {

/// Connects a new socket to the socket at `path`.
/// \param type as for socket(2); SOCK_CLOEXEC is added.
/// \return the new socket; empty, with errno, on failure.
inline UniqueFd connect_to(std::string_view path, int type) noexcept {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  UniqueFd fd(posix::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
  if (fd && posix::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == -1)
    fd.reset();
  return fd;
}

}  // namespace daemonctx::posix
