// SPDX-License-Identifier: BSL-1.0
#include "worker_talk.hpp"

#include <array>
#include <cstring>
#include <posix/syscalls.hpp>
#include <sstream>
#include <system_error>

#include "notify.hpp"
#include "posix/deadline.hpp"
#include "posix/retry.hpp"

namespace daemonctx {
namespace {

constexpr std::string_view mapped_key = "X_DAEMONCTX_MAPPED=";
constexpr std::string_view opened_text = "opened";
constexpr std::chrono::seconds longest_answer{10};
constexpr std::string_view reload_key = "X_DAEMONCTX_RELOAD=";

// What follows the key; empty if it is another.
std::optional<std::string> value_of(std::string_view text, std::string_view key) {
  if (text.substr(0, key.size()) != key) return {};
  return std::string(text.substr(key.size()));
}

UniqueFd above_standard_descriptors(int fd) noexcept {
  UniqueFd given(fd);
  UniqueFd moved(posix::fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
  return moved ? std::move(moved) : std::move(given);
}

void keep_first(UniqueFd& kept, const cmsghdr& header) noexcept {
  if (header.cmsg_level != SOL_SOCKET || header.cmsg_type != SCM_RIGHTS) return;
  const std::size_t count = (header.cmsg_len - CMSG_LEN(0)) / sizeof(int);
  for (std::size_t at = 0; at < count; ++at) {
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(&header) + at * sizeof fd, sizeof fd);
    UniqueFd received(fd);
    if (!kept) kept = std::move(received);
  }
}

}  // namespace

WorkerConnection connect_worker() {
  std::array<int, 2> ends{};
  if (posix::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends.data()) == -1) {
    throw std::system_error(posix::last_error());
  }
  return {above_standard_descriptors(ends[0]), above_standard_descriptors(ends[1])};
}

std::optional<WorkerMessage> receive_message(int fd) {
  std::array<char, 4096> text;
  alignas(cmsghdr) std::array<char, 256> control;
  iovec part{text.data(), text.size()};
  msghdr datagram{};
  datagram.msg_iov = &part;
  datagram.msg_iovlen = 1;
  datagram.msg_control = control.data();
  datagram.msg_controllen = control.size();
  const auto size =
      posix::retry([&] { return posix::recvmsg(fd, &datagram, MSG_DONTWAIT | MSG_CMSG_CLOEXEC); });
  if (size <= 0) return {};
  WorkerMessage message{{text.data(), static_cast<std::size_t>(size)}, {}};
  for (cmsghdr* each = CMSG_FIRSTHDR(&datagram); each != nullptr; each = CMSG_NXTHDR(&datagram, each)) {
    keep_first(message.descriptor, *each);
  }
  return message;
}

void answer_reopen(UniqueFd asker, const std::string& refusal) noexcept {
  Notify answer;
  answer.adopt(std::move(asker));
  answer.never_wait();
  if (!refusal.empty()) return static_cast<void>(answer.send(refusal));
  answer.send(opened_text, STDOUT_FILENO);
  answer.send(opened_text, STDERR_FILENO);
}

ReopenAnswer await_reopen(int fd) {
  ReopenAnswer answer;
  const auto deadline = posix::deadline_in(longest_answer);
  while (!answer.err && answer.refusal.empty()) {
    pollfd readable{fd, POLLIN, 0};
    posix::poll(&readable, 1, posix::poll_timeout(deadline));
    auto message = receive_message(fd);
    if (message && message->text == opened_text)
      (answer.out ? answer.err : answer.out) = std::move(message->descriptor);
    else if (message) answer.refusal = message->text;
    if (message && answer.refusal.empty() && !answer.out) answer.refusal = "there is no descriptor left";
    else if (posix::Clock::now() >= deadline) answer.refusal = "the monitor does not answer";
  }
  return answer;
}

std::string mapped_message(int signal) { return std::string(mapped_key) + std::to_string(signal); }

std::optional<int> mapped_signal(std::string_view text) {
  const auto value = value_of(text, mapped_key);
  if (!value) return {};
  int signal = 0;
  std::istringstream(*value) >> signal;
  const bool can_be = signal > 0 && signal < NSIG && signal != SIGKILL && signal != SIGSTOP;
  return can_be ? std::optional(signal) : std::nullopt;
}

std::string reload_message(const ReloadNotice& notice) {
  std::ostringstream text;
  text << reload_key << notice.finished << ' ' << notice.running << ' ' << notice.refused << ' '
       << notice.text.substr(0, 512);
  return text.str();
}

std::optional<ReloadNotice> told_reload(std::string_view text) {
  const auto value = value_of(text, reload_key);
  if (!value) return {};
  ReloadNotice notice;
  std::istringstream in(*value);
  in >> notice.finished >> notice.running >> notice.refused;
  in.get();
  std::getline(in, notice.text, '\0');
  return notice;
}

}  // namespace daemonctx
