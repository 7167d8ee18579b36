// SPDX-License-Identifier: BSL-1.0
#include "sockets/sockets.hpp"

#include <algorithm>
#include <posix/syscalls.hpp>

#include "posix/identity.hpp"
#include "sockets/ip_socket.hpp"
#include "sockets/socket_error.hpp"

namespace daemonctx {
namespace {

std::optional<FileOwner> owner_of(const ListenSocket& socket, std::optional<FileOwner> by_default) {
  // Only root can give a file away: what a set-uid program of another user makes stays that user's.
  if (socket.user.empty() && socket.group.empty()) return posix::geteuid() == 0 ? by_default : std::nullopt;
  const uid_t uid = by_default ? by_default->uid : posix::geteuid();
  posix::Identity owner;
  const std::string wrong =
      posix::look_up(socket.user.empty() ? std::to_string(uid) : socket.user, socket.group, false, owner);
  if (wrong.empty()) return FileOwner{owner.uid, owner.gid};
  throw socket_error(socket, std::errc::invalid_argument, wrong);
}

UniqueFd open_socket(const ListenSocket& socket, std::optional<FileOwner> owner,
                     std::vector<SocketFile>& files) {
  return is_path(socket.address) ? open_with_file(socket, owner_of(socket, owner), files)
                                 : open_without_file(socket);
}

const char* name_of(SocketType type) noexcept {
  switch (type) {
    case SocketType::datagram:
      return "a datagram socket";
    case SocketType::seqpacket:
      return "a seqpacket socket";
    case SocketType::stream:
      break;
  }
  return "a stream socket";
}

std::optional<int> socket_option(int fd, int option) noexcept {
  int value = 0;
  socklen_t size = sizeof value;
  if (posix::getsockopt(fd, SOL_SOCKET, option, &value, &size) == -1) return {};
  return value;
}

// Empty, or what is wrong with a descriptor that the manager has passed.
std::string fault_of(const ListenSocket& socket, int fd) {
  const auto type = socket_option(fd, SO_TYPE);
  if (!type) return "it is no socket";
  if (*type != number_of(socket.type)) return std::string("it is not ") + name_of(socket.type);
  const bool must_listen = socket.type != SocketType::datagram;
  return must_listen && socket_option(fd, SO_ACCEPTCONN) != 1 ? "it does not listen" : "";
}

void check_passed(const ListenSocket& socket, const char* giver, int fd) {
  const std::string fault = fault_of(socket, fd);
  if (fault.empty()) return;
  throw DaemonError(Step::open_sockets, std::make_error_code(std::errc::invalid_argument), socket.address,
                    "cannot use " + std::string(giver) + "'s descriptor " + std::to_string(fd) +
                        " for the socket \"" + socket.name + "\": " + fault);
}

// What a successor knows a socket by: if it wants another address, it opens a socket of its own. A socket of
// the service manager has the address that the manager gave it, and its file stays the manager's.
std::string key_of(const ListenSocket& socket) { return socket.name + '\t' + socket.address; }
std::string key_of_managers(const ListenSocket& socket) { return socket.name + '\t'; }

}  // namespace

// A caller whose start has failed may start anew, and take over the same descriptors.
Sockets::~Sockets() {
  for (Named& each : sockets_) {
    if (each.is_passed) static_cast<void>(each.fd.release());
  }
}

void Sockets::open(const std::vector<ListenSocket>& wanted, std::vector<ListenDescriptor>& inherited,
                   std::vector<ListenDescriptor>& passed, std::optional<FileOwner> owner) {
  sockets_.reserve(wanted.size());
  for (const ListenSocket& each : wanted) {
    const std::string key = key_of(each);
    const std::string managers = key_of_managers(each);
    if (take(each, key, inherited, key, "the running daemon")) {
      if (is_path(each.address)) inherit_file(each, files_);
    } else if (!take(each, managers, inherited, managers, "the running daemon") &&
               !take(each, each.name, passed, managers, "the service manager")) {
      sockets_.push_back({.name = each.name, .key = key, .fd = open_socket(each, owner, files_)});
    }
  }
}

bool Sockets::take(const ListenSocket& wanted, const std::string& name, std::vector<ListenDescriptor>& from,
                   const std::string& key, const char* giver) {
  const auto found =
      std::find_if(from.begin(), from.end(), [&](const ListenDescriptor& one) { return one.name == name; });
  if (found == from.end()) return false;
  check_passed(wanted, giver, found->fd);
  sockets_.push_back({.name = wanted.name, .key = key, .fd = UniqueFd(found->fd), .is_passed = true});
  from.erase(found);
  return true;
}

std::vector<ListenDescriptor> Sockets::list() const {
  std::vector<ListenDescriptor> all;
  for (const Named& each : sockets_) {
    if (each.key.find('\n') == std::string::npos) all.push_back({each.key, each.fd.get()});
  }
  return all;
}

void Sockets::check(const ListenSocket& socket, std::optional<FileOwner> owner) {
  if (!is_path(socket.address)) return check_without_file(socket);
  static_cast<void>(owner_of(socket, owner));
  check_with_file(socket);
}

std::optional<int> Sockets::find(std::string_view name) const noexcept {
  const auto found =
      std::find_if(sockets_.begin(), sockets_.end(), [&](const Named& each) { return each.name == name; });
  return found == sockets_.end() ? std::nullopt : std::optional(found->fd.get());
}

void Sockets::append_descriptors(std::vector<int>& list) const {
  for (const Named& each : sockets_) list.push_back(each.fd.get());
}

void Sockets::leave_to_daemon() noexcept {
  for (Named& each : sockets_) {
    if (!each.is_passed) each.fd.reset();
  }
}

void Sockets::keep() noexcept {
  for (Named& each : sockets_) each.is_passed = false;
  for (SocketFile& each : files_) each.keep();
}

void Sockets::remove_files() noexcept {
  for (const SocketFile& each : files_) each.remove();
  files_.clear();
}

}  // namespace daemonctx
