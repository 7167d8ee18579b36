// SPDX-License-Identifier: BSL-1.0
#include "manager/sd_notify.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <new>
#include <posix/syscalls.hpp>
#include <utility>

#include "base/deadline.hpp"
#include "base/one_line.hpp"
#include "posix/retry.hpp"

namespace daemonctx {
namespace {

using posix::Clock;

constexpr std::size_t longest_message = 1024;

// How often a manager that does not read is tried again.
constexpr std::chrono::milliseconds send_slice{100};

bool is_without_room(int error) noexcept { return error == EAGAIN || error == ENOBUFS || error == ENOMEM; }

// A message without allocation. Text that does not fit is cut. `add_line` turns line breaks into blanks.
class Message {
 public:
  explicit Message(std::string_view text) noexcept { add(text); }

  Message& add(std::string_view text) noexcept {
    text = cut(text, text_.size() - size_);
    std::copy(text.begin(), text.end(), text_.begin() + static_cast<std::ptrdiff_t>(size_));
    size_ += text.size();
    return *this;
  }
  Message& add_line(std::string_view text) noexcept {
    const std::size_t begin = size_;
    add(text);
    std::replace(text_.begin() + static_cast<std::ptrdiff_t>(begin),
                 text_.begin() + static_cast<std::ptrdiff_t>(size_), '\n', ' ');
    return *this;
  }
  Message& add(long long number) noexcept {
    std::array<char, 24> digits;
    const int size = std::snprintf(digits.data(), digits.size(), "%lld", number);
    return add({digits.data(), static_cast<std::size_t>(std::max(size, 0))});
  }
  operator std::string_view() const noexcept { return {text_.data(), size_}; }  // NOLINT(*-explicit-*)

 private:
  std::array<char, longest_message> text_;
  std::size_t size_ = 0;
};

}  // namespace

std::string SdNotify::fault_of(const std::string& socket) {
  if (socket.empty()) return {};
  if (socket.rfind("vsock:", 0) == 0) return "sockets of another machine (vsock) are not supported";
  if (socket[0] != '/' && socket[0] != '@') return "it is neither an absolute path nor an abstract name";
  return socket.size() < sizeof(sockaddr_un::sun_path) ? "" : "the name is too long";
}

int SdNotify::open(const std::string& socket) noexcept {
  if (socket.empty()) return 0;
  make_messages();
  address_.sun_family = AF_UNIX;
  std::memcpy(address_.sun_path, socket.data(), socket.size());
  if (socket[0] == '@') address_.sun_path[0] = '\0';
  size_ = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + socket.size());
  // Connect now: after chroot(2) the path may be out of reach.
  UniqueFd made(posix::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!made) return errno;
  UniqueFd moved(posix::fcntl(made.get(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
  socket_.reset(std::move(moved ? moved : made));
  reaches_manager_ = true;
  static_cast<void>(::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address_), size_));
  return 0;
}

// A service without a manager needs no memory for them. They are allocated early, since memory may be short
// when they are needed.
void SdNotify::make_messages() noexcept {
  if (!messages_) messages_.reset(new (std::nothrow) Messages);
}

void SdNotify::adopt(UniqueFd connection) noexcept {
  size_ = 0;
  flags_ = MSG_NOSIGNAL;
  make_messages();
  if (messages_) {
    for (Kept* const each : messages_->unsaid()) each->size = 0;  // the monitor says it
  }
  has_unsaid_ = false;
  socket_.reset(std::move(connection));
}

void SdNotify::watch(Timeout timeout) noexcept {
  timeout_ = timeout;
  last_ping_ = Clock::now().time_since_epoch();
}

int SdNotify::ready(pid_t main_pid) const noexcept {
  if (main_pid == 0) return send("READY=1");
  return send(Message("MAINPID=").add(main_pid).add("\nREADY=1"));
}

void SdNotify::reloading() const noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  send(Message("RELOADING=1\nMONOTONIC_USEC=").add(now.tv_sec * 1'000'000LL + now.tv_nsec / 1'000));
}

int SdNotify::send_text(std::string_view key, std::string_view text) const noexcept {
  return send(Message(key).add_line(text));
}

void SdNotify::status(std::string_view text) noexcept {
  {
    const std::lock_guard lock(mutex_);
    if (messages_) messages_->service_status.hold(text);
    is_interrupted_ = false;
  }
  send_text("STATUS=", text);
}

void SdNotify::show_meanwhile(std::string_view text) noexcept {
  {
    const std::lock_guard lock(mutex_);
    is_interrupted_ = true;
  }
  send_text("STATUS=", text);
}

void SdNotify::resume_status() noexcept {
  Kept own;
  {
    const std::lock_guard lock(mutex_);
    if (!std::exchange(is_interrupted_, false) || !messages_) return;
    own = messages_->service_status;
  }
  send_text("STATUS=", own.view());
}

void SdNotify::failure(int error, std::string_view text) const noexcept {
  send(Message("ERRNO=").add(error).add("\nSTATUS=").add_line(text));
}

void SdNotify::extend_timeout(Timeout timeout) const noexcept {
  using std::chrono::microseconds;
  const auto length = std::max(timeout.length(), std::chrono::nanoseconds::zero());
  send(Message("EXTEND_TIMEOUT_USEC=").add(std::chrono::duration_cast<microseconds>(length).count()));
}

int SdNotify::store(std::string_view name, int fd) const noexcept {
  return send(Message("FDSTORE=1\nFDNAME=").add_line(name), fd);
}

int SdNotify::remove_stored(std::string_view name) const noexcept {
  return send(Message("FDSTOREREMOVE=1\nFDNAME=").add_line(name));
}

int SdNotify::barrier(Timeout longest, std::string_view message) const noexcept {
  std::array<int, 2> ends{};
  if (!is_open()) return ENOTCONN;
  if (posix::pipe2(ends.data(), O_CLOEXEC) == -1) return errno;
  const UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  const auto deadline = posix::deadline_in(longest);
  int error = 0;
  while ((error = send(message, writer.get())) == EAGAIN) {
    // A monitor that has not got the message can't read it later.
    if (Clock::now() >= deadline) return (flags_ & MSG_DONTWAIT) != 0 ? ETIMEDOUT : EAGAIN;
    posix::poll(nullptr, 0, posix::poll_timeout(std::min(deadline, posix::deadline_in(send_slice))));
  }
  if (error != 0) return error;
  writer.reset();  // the manager closes its copy when it has handled the message
  pollfd closed{reader.get(), POLLIN, 0};
  int events = 0;
  while ((events = posix::poll(&closed, 1, posix::poll_timeout(deadline))) <= 0) {
    if (events == -1 && errno != EINTR) return errno;
    if (Clock::now() >= deadline) return ETIMEDOUT;
  }
  return 0;
}

void SdNotify::ping() noexcept {
  const auto now = Clock::now().time_since_epoch();
  missed_ping_ = is_without_room(send("WATCHDOG=1"));
  last_try_ = now;
  if (!missed_ping_) last_ping_ = now;
}

void SdNotify::ping_if_due() noexcept {
  say_unsaid();
  if (!missed_ping_ && Clock::now() >= next_watchdog_ping()) ping();
}

Clock::time_point SdNotify::next_watchdog_ping() const noexcept {
  if (timeout_.is_forever()) return Clock::time_point::max();
  if (missed_ping_) return next_retry();
  return posix::later(Clock::time_point(last_ping_), timeout_.length() / 2);
}

Clock::time_point SdNotify::next_ping() const noexcept {
  return std::min(next_watchdog_ping(), next_retry());
}

bool SdNotify::is_kept(std::string_view message) noexcept {
  constexpr std::array<std::string_view, 7> keys = {
      "READY=", "MAINPID=", "RELOADING=", "STOPPING=", "STATUS=", "ERRNO=", "EXTEND_TIMEOUT_USEC="};
  return std::any_of(keys.begin(), keys.end(),
                     [&](std::string_view key) { return message.starts_with(key); });
}

// The latest wins, but a manager must hear of the main pid, and of a reload before its end.
void SdNotify::Messages::keep(std::string_view message) noexcept {
  if (message.starts_with("STATUS=") || message.starts_with("ERRNO=")) return status.hold(message);
  if (message.starts_with("EXTEND_TIMEOUT_USEC=")) return extension.hold(message);
  if (message.starts_with("STOPPING=")) {
    reload.size = 0;
    return end.hold(message);
  }
  if (end.view().starts_with("STOPPING=")) return;  // no state comes after it
  if (message.starts_with("RELOADING=")) {
    end.size = 0;
    return reload.hold(message);
  }
  if (reload.size != 0) return end.hold(message);  // READY=1 after a reload
  if (ready.size == 0 || message.starts_with("MAINPID=")) ready.hold(message);
}

// What must not overtake a kept message waits for it: a descriptor, as BARRIER=1 has one.
int SdNotify::send(std::string_view message, int fd) const noexcept {
  if (fd != -1 || (flags_ & MSG_DONTWAIT) == 0 || !messages_ || !is_kept(message)) {
    retry_kept();
    return has_unsaid_ && fd != -1 ? EAGAIN : send_now(message, fd);
  }
  const std::lock_guard lock(mutex_);
  say_kept();
  const int error = has_unsaid_ ? EAGAIN : send_now(message, -1);
  if (!is_without_room(error)) return error;
  messages_->keep(message);
  if (!has_unsaid_.exchange(true)) wake_();
  return 0;
}

void SdNotify::say_unsaid() noexcept {
  if (missed_ping_) ping();
  retry_kept();
}

void SdNotify::retry_kept() const noexcept {
  if (!has_unsaid_) return;
  const std::lock_guard lock(mutex_);
  say_kept();
}

void SdNotify::say_kept() const noexcept {
  last_try_ = Clock::now().time_since_epoch();
  for (Kept* const each : messages_->unsaid()) {
    if (each->size == 0) continue;
    if (is_without_room(send_now(each->view(), -1))) return;
    each->size = 0;
  }
  has_unsaid_ = false;
}

void SdNotify::Kept::hold(std::string_view message) noexcept {
  message = cut(message, text.size());
  std::copy(message.begin(), message.end(), text.begin());
  size = message.size();
}

Clock::time_point SdNotify::next_retry() const noexcept {
  return has_unsaid_ || missed_ping_ ? posix::later(Clock::time_point(last_try_), send_slice)
                                     : Clock::time_point::max();
}

int SdNotify::send_now(std::string_view message, int fd) const noexcept {
  if (!socket_) return ENOTCONN;
  iovec text{const_cast<char*>(message.data()), message.size()};
  msghdr datagram{};
  datagram.msg_iov = &text;
  datagram.msg_iovlen = 1;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  if (fd != -1) {
    datagram.msg_control = control.data();
    datagram.msg_controllen = control.size();
    cmsghdr* const header = CMSG_FIRSTHDR(&datagram);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof fd);
    std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
  }
  const auto attempt = [&] {
    return posix::retry([&] { return posix::sendmsg(socket_.get(), &datagram, flags_); });
  };
  if (attempt() != -1) return 0;
  // The socket is not connected, or its manager was restarted since: send to the address.
  if (errno != ECONNREFUSED && errno != ENOTCONN && errno != EDESTADDRREQ) return errno;
  if (size_ == 0) return errno;
  datagram.msg_name = const_cast<sockaddr_un*>(&address_);
  datagram.msg_namelen = size_;
  return attempt() == -1 ? errno : 0;
}

}  // namespace daemonctx
