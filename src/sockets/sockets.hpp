// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemonctx/service_manager.hpp"
#include "daemonctx/socket.hpp"
#include "output/open_target.hpp"
#include "posix/unique_fd.hpp"
#include "sockets/socket_file.hpp"

namespace daemonctx {

/// The named sockets of a service. The destructor closes them, and leaves their files. After `open` the names
/// and descriptors are constant, so that any thread may read them.
class Sockets {
 public:
  Sockets() = default;
  Sockets(const Sockets&) = delete;
  Sockets& operator=(const Sockets&) = delete;
  ~Sockets();

  /// Opens the sockets in their order, or takes over those that a predecessor or the manager has passed under
  /// the same name.
  /// \param inherited,passed lose the descriptors that were taken over.
  /// \param owner of the socket files that name none; empty: this process.
  /// \throws DaemonError (`open_sockets`); then call `remove_files`. \note Runs in the caller.
  void open(const std::vector<ListenSocket>& wanted, std::vector<ListenDescriptor>& inherited,
            std::vector<ListenDescriptor>& passed, std::optional<FileOwner> owner);

  /// Checks what can be checked of a socket while its address may be in use. Creates nothing.
  /// \throws DaemonError (`open_sockets`).
  static void check(const ListenSocket& socket, std::optional<FileOwner> owner);

  /// Empty if there is no socket with this name.
  std::optional<int> find(std::string_view name) const noexcept;

  void append_descriptors(std::vector<int>& list) const;

  /// For a successor: each name has the address with it. A socket whose path has a line break is left out.
  std::vector<ListenDescriptor> list() const;

  /// Closes the sockets that were opened, and leaves their files to `remove_files`. To be called by a caller
  /// after the fork: an address must be free as soon as the daemon has ended.
  void leave_to_daemon() noexcept;

  /// Keeps the sockets after the start: closes the directories held for `remove_files`. From now on the
  /// destructor also closes the manager's descriptors. A caller whose start has failed may still use them.
  /// \note Runs in the daemon before it may allocate.
  void keep() noexcept;

  /// Removes the files of the sockets that were opened. Further calls do nothing.
  void remove_files() noexcept;

  /// Leaves the files to another process: `remove_files` does nothing from now on.
  void leave_files() noexcept { files_.clear(); }

 private:
  struct Named {
    std::string name;
    std::string key;  // for a successor
    UniqueFd fd;
    bool is_passed = false;
  };

  /// \param name in the list `from`  \param key what a successor will know the socket by
  bool take(const ListenSocket& wanted, const std::string& name, std::vector<ListenDescriptor>& from,
            const std::string& key, const char* giver);

  std::vector<Named> sockets_;
  std::vector<SocketFile> files_;
};

}  // namespace daemonctx
