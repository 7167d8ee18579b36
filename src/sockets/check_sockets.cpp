// SPDX-License-Identifier: BSL-1.0
#include "sockets/check_sockets.hpp"

#include <algorithm>
#include <stdexcept>

#include "manager/listen_fds.hpp"
#include "sockets/socket_address.hpp"

namespace daemonctx {
namespace {

void require(bool condition, const std::string& reason) {
  if (!condition) throw std::invalid_argument("sockets: " + reason);
}

SocketAddress address_of(const ListenSocket& socket) {
  require(!socket.address.empty(), "\"" + socket.name + "\" has no address");
  try {
    return parse_address(socket.address);
  } catch (const std::invalid_argument& error) {
    throw std::invalid_argument("sockets: the address \"" + socket.address + "\" of \"" + socket.name +
                                "\": " + error.what());
  }
}

void check(const ListenSocket& socket) {
  require(is_descriptor_name(socket.name),
          "\"" + socket.name + "\" can't be the name of a descriptor: 1 to 255 printable characters, no ':'");
  const int family = address_of(socket).family();
  const auto require_of_it = [&](bool condition, const std::string& reason) {
    require(condition, "\"" + socket.name + "\": " + reason);
  };
  const bool has_owner = !socket.user.empty() || !socket.group.empty();
  require_of_it(family == AF_UNIX || socket.type != SocketType::seqpacket, "IP has no seqpacket");
  require_of_it(socket.backlog > 0, "the backlog must be positive, is " + std::to_string(socket.backlog));
  require_of_it(socket.mode <= 0777, "the mode has more than permission bits");
  require_of_it(!has_owner || is_path(socket.address), "only a socket file has a user and a group");
  require_of_it((socket.user + socket.group).find('\0') == std::string::npos,
                "user or group has a NUL character in it");
  require_of_it(!socket.v6only || (family == AF_INET6 && !is_any(socket.address)),
                "v6only needs an IPv6 address, such as \"[::]:80\"");
  require_of_it(!socket.reuse_port || family != AF_UNIX, "reuse_port needs an IP address");
}

}  // namespace

void check_sockets(const std::vector<ListenSocket>& sockets) {
  for (auto each = sockets.begin(); each != sockets.end(); ++each) {
    check(*each);
    const auto is_same = [&](const ListenSocket& other) { return other.name == each->name; };
    require(std::none_of(sockets.begin(), each, is_same), "the name \"" + each->name + "\" is there twice");
  }
}

}  // namespace daemonctx
