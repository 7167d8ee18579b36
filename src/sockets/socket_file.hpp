// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "daemonctx/socket.hpp"
#include "output/open_target.hpp"
#include "posix/unique_fd.hpp"

namespace daemonctx {

/// The file of a Unix socket that this start has bound.
struct SocketFile {
  std::string path;
  std::string name;
  dev_t device = 0;
  ino_t inode = 0;
  // Open during a start. A failed start may no longer reach the path, and has closed its sockets.
  UniqueFd directory = {};
  UniqueFd entry = {};  ///< opened with O_PATH: no other file can get the number of its inode

  /// After the start: closes both descriptors. From then on the open socket keeps the inode's number, and
  /// keeps other starts from the place.
  void keep() noexcept;

  /// Removes the file unless another one has taken its name.
  void remove() const noexcept;

 private:
  void remove_from(int place) const noexcept;
};

/// Opens a socket whose address is a path. Replaces a socket file that nobody listens on. At no time can
/// anybody connect who may not do so in the end.
/// \param owner who gets the file; empty: this process.
/// \param files gets the new file.
/// \throws DaemonError (`open_sockets`).
UniqueFd open_with_file(const ListenSocket& socket, std::optional<FileOwner> owner,
                        std::vector<SocketFile>& files);

/// Adds the file of a socket that was taken over from a predecessor, unless it is gone.
void inherit_file(const ListenSocket& socket, std::vector<SocketFile>& files);

/// Checks that `open_with_file` could succeed once nobody listens there. Creates nothing.
/// \throws DaemonError (`open_sockets`).
void check_with_file(const ListenSocket& socket);

}  // namespace daemonctx
