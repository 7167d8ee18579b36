// SPDX-License-Identifier: BSL-1.0
#include "notify.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <posix/syscalls.hpp>

#include "unique_fd.hpp"

namespace daemonctx {
namespace {

constexpr std::size_t longest_message = 1024;

}  // namespace

void Notify::adopt_environment() noexcept {
  const char* name = ::getenv("NOTIFY_SOCKET");
  if (name == nullptr) return;
  const std::size_t length = std::strlen(name);
  // A path, or an abstract name whose leading NUL is written as '@'.
  if ((name[0] == '/' || name[0] == '@') && length < sizeof address_.sun_path) {
    address_.sun_family = AF_UNIX;
    std::memcpy(address_.sun_path, name, length);
    if (name[0] == '@') address_.sun_path[0] = '\0';
    size_ = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length);
  }
}

void Notify::clear_environment() noexcept { ::unsetenv("NOTIFY_SOCKET"); }

void Notify::ready(pid_t main_pid) const noexcept {
  if (main_pid == 0) return send("READY=1");
  std::array<char, 64> text;
  const int size = std::snprintf(text.data(), text.size(), "MAINPID=%d\nREADY=1", static_cast<int>(main_pid));
  send({text.data(), static_cast<std::size_t>(size)});
}

void Notify::reloading() const noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  std::array<char, 64> text;
  const int size = std::snprintf(text.data(), text.size(), "RELOADING=1\nMONOTONIC_USEC=%lld",
                                 now.tv_sec * 1'000'000LL + now.tv_nsec / 1'000);
  send({text.data(), static_cast<std::size_t>(size)});
}

void Notify::status(std::string_view text) const noexcept {
  std::array<char, longest_message> message{"STATUS="};
  constexpr std::size_t begin = 7;
  const std::size_t size = std::min(text.size(), message.size() - begin);
  std::replace_copy(text.begin(), text.begin() + size, message.begin() + begin, '\n', ' ');
  send({message.data(), begin + size});
}

void Notify::send(std::string_view message) const noexcept {
  if (size_ == 0) return;
  const UniqueFd socket(posix::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket) return;
  iovec text{const_cast<char*>(message.data()), message.size()};
  msghdr datagram{};
  datagram.msg_name = const_cast<sockaddr_un*>(&address_);
  datagram.msg_namelen = size_;
  datagram.msg_iov = &text;
  datagram.msg_iovlen = 1;
  [[maybe_unused]] const auto sent = posix::sendmsg(socket.get(), &datagram, MSG_NOSIGNAL);
}

}  // namespace daemonctx
