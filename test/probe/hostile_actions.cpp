// SPDX-License-Identifier: BSL-1.0

// Attacks on the monitor by a worker that an intruder has taken over.

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <vector>

#include "probe.hpp"

namespace probe {
namespace {

std::vector<int> descriptors() {
  std::vector<int> found;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    found.push_back(std::stoi(entry.path().filename().string()));
  }
  return found;
}

// The worker's only datagram socket leads to the monitor.
int monitor_socket() {
  for (const int fd : descriptors()) {
    int type = 0;
    socklen_t size = sizeof type;
    if (::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_DGRAM) return fd;
  }
  throw std::runtime_error("no connection to a monitor");
}

void send_on(int socket, const std::string& text, const std::vector<int>& fds) {
  iovec part{const_cast<char*>(text.data()), text.size()};
  std::array<char, 256> control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  const std::size_t size = fds.size() * sizeof(int);
  if (size != 0) {
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(size);
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(size);
    std::memcpy(CMSG_DATA(header), fds.data(), size);
  }
  if (::sendmsg(socket, &message, 0) == -1) throw std::runtime_error("cannot send");
}

void send(const std::string& text, const std::vector<int>& fds) { send_on(monitor_socket(), text, fds); }

// Sends a message with a socket for the answer, in which `given` waits already, and reports the answer.
void ask(const std::string& message, const std::vector<int>& given) {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0)
    throw std::runtime_error("socketpair");
  if (!given.empty()) send_on(ends[1], "given", given);
  send(message, {ends[0]});
  ::close(ends[0]);
  std::array<char, 256> text{};
  const auto size = ::recv(ends[1], text.data(), text.size(), 0);
  say("answer: " + std::string(text.data(), size > 0 ? static_cast<std::size_t>(size) : 0));
  ::close(ends[1]);
}

bool is_same_file(int fd, const struct stat& file) {
  struct stat found {};
  return ::fstat(fd, &found) == 0 && found.st_dev == file.st_dev && found.st_ino == file.st_ino;
}

}  // namespace

void tell_monitor(daemonctx::DaemonContext&, const std::string& text) {
  std::string lines = text;
  std::replace(lines.begin(), lines.end(), '|', '\n');
  send(lines, {});
}

void send_descriptors(daemonctx::DaemonContext&, const std::string& times) {
  for (int n = std::stoi(times); n > 0; --n) send("", {0, 1, 2, 0, 1, 2, 0, 1, 2});
}

// The page of crash notes is among them.
void fill_shared_pages(daemonctx::DaemonContext&, const std::string&) {
  std::ifstream maps("/proc/self/maps");
  int filled = 0;
  for (std::string line; std::getline(maps, line);) {
    if (line.find(" rw-s ") == std::string::npos || line.find("/dev/zero") == std::string::npos) continue;
    const auto begin = std::stoul(line, nullptr, 16);
    const auto end = std::stoul(line.substr(line.find('-') + 1), nullptr, 16);
    std::memset(reinterpret_cast<void*>(begin), 0xff, end - begin);
    ++filled;
  }
  say("filled " + std::to_string(filled));
}

// Sends a socket whose close would wait for an hour, since nobody reads what it has sent.
void send_lingering(daemonctx::DaemonContext&, const std::string&) {
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto* const name = reinterpret_cast<sockaddr*>(&address);
  socklen_t size = sizeof address;
  const int full = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (::bind(listener, name, size) != 0 || ::listen(listener, 1) != 0 ||
      ::getsockname(listener, name, &size) != 0 || ::connect(full, name, size) != 0)
    throw std::runtime_error("cannot connect");
  const std::string text(1U << 16U, 'x');
  while (::send(full, text.data(), text.size(), MSG_DONTWAIT) > 0) continue;
  const linger hour{1, 3600};
  if (::setsockopt(full, SOL_SOCKET, SO_LINGER, &hour, sizeof hour) != 0)
    throw std::runtime_error("SO_LINGER");
  send("", {full});
  ::close(full);
  say("sent");
}

void flood_monitor(daemonctx::DaemonContext&, const std::string&) {
  say("floods");
  for (;;) send("STATUS=x", {});
}

void lose_monitor(daemonctx::DaemonContext&, const std::string&) { ::shutdown(monitor_socket(), SHUT_RDWR); }

void ask_to_reopen(daemonctx::DaemonContext&, const std::string&) {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0)
    throw std::runtime_error("socketpair");
  send("X_DAEMONCTX_REOPEN=1", {ends[0]});
  ::close(ends[0]);
  std::string said = "reopened:";
  std::array<char, 256> text{};
  for (std::string part = "output"; part == "output" || part == "error";) {
    const auto size = ::recv(ends[1], text.data(), text.size(), 0);
    part.assign(text.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
    said += ' ' + part;
  }
  say(said);
}

// Memory that can still change, and then none.
void ask_to_remember(daemonctx::DaemonContext&, const std::string&) {
  const int memory = ::memfd_create("mine", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  ask("X_DAEMONCTX_REMEMBER=program", {memory});
  ask("X_DAEMONCTX_REMEMBER=service", {});
  ::close(memory);
}

void ask_to_open(daemonctx::DaemonContext&, const std::string& place) {
  ask("X_DAEMONCTX_OPEN=" + place, {});
}

void seize_pidfile(daemonctx::DaemonContext&, const std::string& path) {
  struct stat file {};
  ::stat(path.c_str(), &file);
  std::string said = "seized:";
  for (const int fd : descriptors()) {
    if (!is_same_file(fd, file)) continue;
    struct flock lock {};
    lock.l_type = F_UNLCK;
    ::fcntl(fd, F_OFD_SETLK, &lock);
    lock.l_type = F_WRLCK;
    lock.l_start = 1;
    lock.l_len = 1;
    if (::fcntl(fd, F_SETLK, &lock) == 0) said += " a lock";
    if (::ftruncate(fd, 0) == 0) said += " the text";
  }
  say(said);
}

}  // namespace probe
