// SPDX-License-Identifier: BSL-1.0
#pragma once

// A service manager's end of sd_notify(3).

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <boost/test/unit_test.hpp>
#include <cstddef>
#include <cstring>
#include <memory>
#include <string>

#include "scene.hpp"

namespace scene {

class Received {
 public:
  explicit Received(int fd = -1)
      : fd_(new int(fd), [](const int* owned) {
          if (*owned != -1) ::close(*owned);
          delete owned;
        }) {}
  int get() const { return *fd_; }
  explicit operator bool() const { return *fd_ != -1; }

 private:
  std::shared_ptr<int> fd_;
};

struct Datagram {
  std::string text = "nothing";
  pid_t pid = 0;  ///< of the sender, from the kernel
  uid_t uid = 0;
  Received descriptor = Received();
};

/// A datagram socket at a path, or at an abstract name that begins with '@'.
class Listener {
 public:
  explicit Listener(std::string name)
      : name_(std::move(name)), fd_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, name_.data(), name_.size());
    if (name_[0] == '@') address.sun_path[0] = '\0';
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name_.size());
    const int on = 1;
    BOOST_REQUIRE(::setsockopt(fd_, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) == 0);
    BOOST_REQUIRE(::bind(fd_, reinterpret_cast<const sockaddr*>(&address), size) == 0);
  }
  ~Listener() { close(); }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  const std::string& name() const { return name_; }
  int fd() const { return fd_; }

  void close() {
    if (fd_ != -1) ::close(fd_);
    fd_ = -1;
  }

  /// The next datagram; its text is "nothing" if none has arrived. A datagram has arrived when its send has
  /// returned.
  Datagram next() const {
    std::array<char, 16384> text{};
    alignas(cmsghdr) std::array<char, 256> control{};
    iovec parts{text.data(), text.size()};
    msghdr message{};
    message.msg_iov = &parts;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const auto size = ::recvmsg(fd_, &message, MSG_CMSG_CLOEXEC);
    Datagram found;
    if (size < 0) return found;
    found.text.assign(text.data(), static_cast<std::size_t>(size));
    for (cmsghdr* each = CMSG_FIRSTHDR(&message); each != nullptr; each = CMSG_NXTHDR(&message, each)) {
      take(*each, found);
    }
    return found;
  }

  /// Waits for the next datagram, at most `patience`.
  Datagram await() const {
    pollfd readable{fd_, POLLIN, 0};
    BOOST_REQUIRE(::poll(&readable, 1, std::chrono::milliseconds(patience).count()) == 1);
    return next();
  }

 private:
  static void take(const cmsghdr& header, Datagram& found) {
    if (header.cmsg_type == SCM_RIGHTS) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(&header), sizeof fd);
      found.descriptor = Received(fd);
    } else if (header.cmsg_type == SCM_CREDENTIALS) {
      ucred sender{};
      std::memcpy(&sender, CMSG_DATA(&header), sizeof sender);
      found.pid = sender.pid;
      found.uid = sender.uid;
    }
  }

  std::string name_;
  int fd_;
};

}  // namespace scene
