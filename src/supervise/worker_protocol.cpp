// SPDX-License-Identifier: BSL-1.0
#include "supervise/worker_protocol.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <posix/syscalls.hpp>
#include <system_error>

#include "base/deadline.hpp"
#include "base/graces.hpp"
#include "base/number.hpp"
#include "base/one_line.hpp"
#include "posix/retry.hpp"
#include "posix/sealed_memory.hpp"

namespace daemonctx {
namespace {

constexpr std::string_view mapped_key = "X_DAEMONCTX_MAPPED=";
constexpr std::string_view remember_key = "X_DAEMONCTX_REMEMBER=";
constexpr std::string_view program_text = "program";
constexpr std::string_view service_text = "service";
constexpr std::string_view socket_key = "X_DAEMONCTX_SOCKET=";
constexpr std::string_view open_key = "X_DAEMONCTX_OPEN=";
constexpr std::string_view memory_text = "memory";
constexpr std::string_view file_text = "file";
constexpr std::string_view output_text = "output";
constexpr std::string_view error_text = "error";
constexpr std::string_view done_text = "done";
constexpr const char* no_descriptor_text = "there is no descriptor left";
constexpr std::size_t longest_reload_text = 512;
constexpr std::string_view reload_key = "X_DAEMONCTX_RELOAD=";

// The text that follows `key`; empty if `text` has another key.
std::optional<std::string> value_of(std::string_view text, std::string_view key) {
  if (text.substr(0, key.size()) != key) return {};
  return std::string(text.substr(key.size()));
}

UniqueFd above_standard_descriptors(int fd) noexcept {
  UniqueFd given(fd);
  UniqueFd moved(posix::fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
  return moved ? std::move(moved) : std::move(given);
}

// With SO_LINGER the close of a socket may block for hours, and this process's copy may be the last.
void forbid_to_linger(int fd) noexcept {
  linger found{};
  socklen_t size = sizeof found;
  if (::getsockopt(fd, SOL_SOCKET, SO_LINGER, &found, &size) == -1 || found.l_onoff == 0) return;
  found = {};
  ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &found, sizeof found);
}

void keep_first(UniqueFd& kept, const cmsghdr& header) noexcept {
  if (header.cmsg_level != SOL_SOCKET || header.cmsg_type != SCM_RIGHTS) return;
  const std::size_t count = (header.cmsg_len - CMSG_LEN(0)) / sizeof(int);
  for (std::size_t at = 0; at < count; ++at) {
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(&header) + at * sizeof fd, sizeof fd);
    UniqueFd received(fd);
    forbid_to_linger(received.get());
    if (!kept) kept = std::move(received);
  }
}

WorkerConnection connect(int type) {
  std::array<int, 2> ends{};
  if (posix::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends.data()) == -1) {
    throw std::system_error(posix::last_error());
  }
  return {above_standard_descriptors(ends[0]), above_standard_descriptors(ends[1])};
}

// Empty if the monitor gives no answer in time. An answer without text means that a process had no descriptor
// left: for this connection, or for the answer.
std::optional<WorkerMessage> await_answer(const UniqueFd& socket) {
  const auto deadline = posix::deadline_in(graces::monitor_answer);
  for (;;) {
    pollfd readable{socket.get(), POLLIN, 0};
    posix::poll(&readable, 1, posix::poll_timeout(deadline));
    if (auto message = receive_message(socket.get())) return message;
    if (posix::Clock::now() >= deadline) return {};
  }
}

}  // namespace

WorkerConnection connect_worker() { return connect(SOCK_DGRAM); }

WorkerConnection connect_for_answer() { return connect(SOCK_SEQPACKET); }

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
  if (size == -1) return {};
  WorkerMessage message{{text.data(), static_cast<std::size_t>(size)}, {}};
  if ((datagram.msg_flags & MSG_CTRUNC) != 0) message.text.clear();  // its descriptor is lost
  for (cmsghdr* each = CMSG_FIRSTHDR(&datagram); each != nullptr; each = CMSG_NXTHDR(&datagram, each)) {
    keep_first(message.descriptor, *each);
  }
  return message;
}

bool says_ready(std::string_view text) noexcept {
  while (!text.empty()) {
    if (take_word(text, '\n') == "READY=1") return true;
  }
  return false;
}

std::optional<std::string> told_status(std::string_view text) {
  constexpr std::string_view key = "STATUS=";
  std::optional<std::string> status;
  while (!text.empty()) {
    const std::string_view line = take_word(text, '\n');
    if (line.substr(0, key.size()) == key) status = line.substr(key.size());
  }
  return status;
}

std::string for_manager(std::string_view text) {
  constexpr std::array<std::string_view, 11> keys = {
      "READY=",   "RELOADING=", "MONOTONIC_USEC=", "STATUS=",        "ERRNO=",  "EXTEND_TIMEOUT_USEC=",
      "FDSTORE=", "FDNAME=",    "FDPOLL=",         "FDSTOREREMOVE=", "BARRIER="};
  std::string passed;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    const bool passes = std::any_of(keys.begin(), keys.end(),
                                    [&](std::string_view key) { return line.substr(0, key.size()) == key; });
    if (passes) passed.append(passed.empty() ? "" : "\n").append(line);
  }
  return passed;
}

void answer_reopen(UniqueFd asker, const std::string& refusal, bool output, bool error) noexcept {
  SdNotify answer;
  answer.adopt(std::move(asker));
  answer.never_wait();
  if (!refusal.empty()) return static_cast<void>(answer.send(refusal));
  if (output) answer.send(output_text, STDOUT_FILENO);
  if (error) answer.send(error_text, STDERR_FILENO);
  answer.send(done_text);
}

ReopenAnswer await_reopen(const UniqueFd& socket) {
  ReopenAnswer answer;
  while (answer.refusal.empty()) {
    auto message = await_answer(socket);
    if (!message) message.emplace(WorkerMessage{"the monitor does not answer", {}});
    if (message->text.empty()) message->text = no_descriptor_text;
    if (message->text == done_text) return answer;
    const bool is_error = message->text == error_text;
    if (!is_error && message->text != output_text) answer.refusal = message->text;
    else if (!message->descriptor) answer.refusal = no_descriptor_text;
    else (is_error ? answer.err : answer.out) = std::move(message->descriptor);
  }
  return answer;
}

std::string ask_to_keep(const SdNotify& monitor, Memory which, const UniqueFd& memory) {
  WorkerConnection connection = connect_for_answer();
  SdNotify own_end;
  own_end.adopt(UniqueFd(posix::fcntl(connection.worker.get(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1)));
  int error = own_end.send(memory_text, memory.get());
  if (error == 0) error = monitor.send(remember_message(which), connection.monitor.get());
  if (error != 0) throw std::system_error(error, std::generic_category(), "cannot tell the monitor");
  connection.monitor.reset();
  const auto answer = await_answer(connection.worker);
  if (!answer) return "the monitor does not answer";
  if (answer->text == done_text) return "";
  return answer->text.empty() ? no_descriptor_text : answer->text;
}

std::string remember_message(Memory which) {
  return std::string(remember_key).append(which == Memory::program ? program_text : service_text);
}

std::optional<Memory> memory_to_keep(std::string_view text) {
  const auto value = value_of(text, remember_key);
  if (value == program_text) return Memory::program;
  return value == service_text ? std::optional(Memory::service) : std::nullopt;
}

UniqueFd answer_keep(UniqueFd asker) noexcept {
  UniqueFd memory;
  if (auto given = receive_message(asker.get())) memory = std::move(given->descriptor);
  const bool is_sealed = posix::is_sealed_memory(memory);
  const char* const refusal = memory ? "the memory is not sealed" : no_descriptor_text;
  SdNotify answer;
  answer.adopt(std::move(asker));
  answer.never_wait();
  answer.send(is_sealed ? done_text : std::string_view(refusal));
  return is_sealed ? std::move(memory) : UniqueFd();
}

std::string open_message(std::size_t place) { return std::string(open_key) + std::to_string(place); }

std::optional<std::size_t> file_to_open(std::string_view text) {
  const auto value = value_of(text, open_key);
  return value ? to_number<std::size_t>(*value) : std::nullopt;
}

UniqueFd ask_to_open(const SdNotify& monitor, std::size_t place) {
  WorkerConnection connection = connect_for_answer();
  errno = monitor.send(open_message(place), connection.monitor.get());
  if (errno != 0) return {};
  connection.monitor.reset();
  auto answer = await_answer(connection.worker);
  if (answer && answer->descriptor) return std::move(answer->descriptor);
  errno = !answer ? ETIMEDOUT : answer->text.empty() ? EMFILE : to_number<int>(answer->text).value_or(EIO);
  return {};
}

void answer_open(UniqueFd asker, const UniqueFd& file, int error) noexcept {
  SdNotify answer;
  answer.adopt(std::move(asker));
  answer.never_wait();
  if (file) answer.send(file_text, file.get());
  else answer.send(std::to_string(error));
}

std::string socket_message(std::string_view name) { return std::string(socket_key).append(name); }

std::optional<std::string> told_socket(std::string_view text) { return value_of(text, socket_key); }

std::string mapped_message(int signal) { return std::string(mapped_key) + std::to_string(signal); }

std::optional<int> mapped_signal(std::string_view text) {
  const auto value = value_of(text, mapped_key);
  if (!value) return {};
  const int signal = to_number<int>(*value).value_or(0);
  const bool can_be = signal > 0 && signal < NSIG && signal != SIGKILL && signal != SIGSTOP;
  return can_be ? std::optional(signal) : std::nullopt;
}

std::string reload_message(const ReloadNotice& notice) {
  const auto flag = [](bool is_set) { return is_set ? " 1" : " 0"; };
  return std::string(reload_key) + std::to_string(notice.finished) + flag(notice.running) +
         flag(notice.refused) + ' ' + std::string(cut(notice.text, longest_reload_text));
}

std::optional<ReloadNotice> told_reload(std::string_view text) {
  const auto value = value_of(text, reload_key);
  if (!value) return {};
  std::string_view rest = *value;
  ReloadNotice notice;
  notice.finished = to_number<decltype(notice.finished)>(take_word(rest, ' ')).value_or(0);
  notice.running = take_word(rest, ' ') == "1";
  notice.refused = take_word(rest, ' ') == "1";
  notice.text = rest;
  return notice;
}

}  // namespace daemonctx
