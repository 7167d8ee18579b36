// SPDX-License-Identifier: BSL-1.0

// The messages from a worker to its monitor. The worker may be in the hands of an attacker, and the monitor
// may be root.

#include <sys/socket.h>

#include <csignal>

#include "base/one_line.hpp"
#include "fuzz.hpp"
#include "supervise/worker_protocol.hpp"

using namespace daemonctx;
using fuzz::require;

namespace {

constexpr std::size_t longest_reload_text = 512;

// Sends `text` with copies of standard error. SO_LINGER on a passed socket could hold up the one that closes
// it.
void send(int socket, const std::string& text, std::size_t descriptors) {
  std::array<int, 4> fds{};
  fds.fill(STDERR_FILENO);
  iovec part{const_cast<char*>(text.data()), text.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof fds)> control{};
  msghdr datagram{};
  datagram.msg_iov = &part;
  datagram.msg_iovlen = 1;
  if (descriptors != 0) {
    datagram.msg_control = control.data();
    datagram.msg_controllen = CMSG_SPACE(sizeof(int) * descriptors);
    cmsghdr* const header = CMSG_FIRSTHDR(&datagram);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int) * descriptors);
    std::memcpy(CMSG_DATA(header), fds.data(), sizeof(int) * descriptors);
  }
  fuzz::expect(::sendmsg(socket, &datagram, MSG_DONTWAIT) != -1, "sendmsg");
}

void check_arrival(const std::string& text, std::size_t descriptors) {
  const int before = fuzz::free_descriptor();
  {
    const WorkerConnection connection = connect_worker();
    send(connection.worker.get(), text, descriptors);
    const auto message = receive_message(connection.monitor.get());
    require(message.has_value(), "a message that was sent arrives");
    require(message->text == text.substr(0, 4096), "the text arrives");
    require(bool(message->descriptor) == (descriptors != 0), "one of the descriptors is kept");
    require(!receive_message(connection.monitor.get()), "one message is one");
  }
  require(fuzz::free_descriptor() == before, "no descriptor is left open");
}

// What reaches the manager: it believes the monitor, which may be root.
void check_passed(const std::string& text) {
  constexpr std::array<std::string_view, 11> keys = {
      "READY",   "RELOADING", "MONOTONIC_USEC", "STATUS",        "ERRNO",  "EXTEND_TIMEOUT_USEC",
      "FDSTORE", "FDNAME",    "FDPOLL",         "FDSTOREREMOVE", "BARRIER"};
  const std::string passed = for_manager(text);
  for (const std::string& line : fuzz::split(passed, '\n')) {
    const std::string key = line.substr(0, line.find('='));
    require(std::find(keys.begin(), keys.end(), key) != keys.end() && key.size() < line.size(),
            "only a service's own keys pass");
    require(!line.starts_with("MAINPID"), "no message names a main pid");
    require(!line.starts_with("X_"), "what is for the monitor stays with it");
    require(!line.starts_with("WATCHDOG"), "the monitor alone feeds the watchdog");
    require(!line.starts_with("STOPPING"), "the monitor alone says that the service stops");
    require(('\n' + text + '\n').find('\n' + line + '\n') != std::string::npos, "each line is the worker's");
  }
  require(for_manager(passed) == passed, "what has passed passes again");
  require(says_ready(passed) == says_ready(text), "READY=1 passes");
  require(told_status(passed) == told_status(text), "STATUS= passes");
}

void check_reload(const ReloadNotice& notice) {
  const auto told = told_reload(reload_message(notice));
  require(told && told->finished == notice.finished && told->running == notice.running &&
              told->refused == notice.refused && told->text == cut(notice.text, longest_reload_text),
          "a reload is told as it is");
}

void check_requests(const std::string& text) {
  if (const auto signal = mapped_signal(text)) {
    require(*signal > 0 && *signal < NSIG && *signal != SIGKILL && *signal != SIGSTOP,
            "a worker maps only signals that can be mapped");
    require(mapped_signal(mapped_message(*signal)) == signal, "a mapped signal is told as it is");
  }
  if (const auto place = file_to_open(text))
    require(file_to_open(open_message(*place)) == place, "a file's place is told as it is");
  if (const auto which = memory_to_keep(text))
    require(remember_message(*which) == text, "only two words name a memory");
  if (const auto notice = told_reload(text)) check_reload(*notice);
  const int kinds = int(mapped_signal(text).has_value()) + int(file_to_open(text).has_value()) +
                    int(memory_to_keep(text).has_value()) + int(told_reload(text).has_value()) +
                    int(text == reopen_message) + int(text == cut_off_message) +
                    int(text == released_message);
  require(kinds <= 1, "a message asks for one thing");
}

// A monitor's answers: a worker of an older program may be behind the socket.
void check_answer(const std::string& text, std::size_t descriptors) {
  const WorkerConnection connection = connect_for_answer();
  if (!text.empty()) send(connection.monitor.get(), text, descriptors);
  send(connection.monitor.get(), "done", 0);
  const ReopenAnswer answer = await_reopen(connection.worker);
  require(text != "output" || bool(answer.out) == (descriptors != 0), "the new output arrives");
  require(text != "error" || bool(answer.err) == (descriptors != 0), "the new error arrives");
  require(text == "output" || text == "error" || text == "done" || text.empty() ||
              answer.refusal == text.substr(0, 4096),
          "any other text is a refusal");
}

// The monitor keeps only memory that nobody can change: no file, no pipe.
void check_memory(const std::string& text, std::size_t descriptors) {
  WorkerConnection connection = connect_for_answer();
  send(connection.worker.get(), text, descriptors);
  require(!answer_keep(std::move(connection.monitor)), "no file but sealed memory is kept");
  const auto answer = receive_message(connection.worker.get());
  require(answer && !answer->text.empty() && answer->text != "done", "the worker hears of the refusal");
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, std::min<std::size_t>(size, 6000));
  const auto mode = input.number();
  const std::size_t descriptors = (mode / 8U) % 4U;
  if (mode % 8 == 7) {
    const auto finished = input.number<std::uint64_t>();
    const bool running = input.flag();
    const bool refused = input.flag();
    check_reload({finished, running, refused, input.rest()});
    return 0;
  }
  const std::string text = input.rest();
  check_passed(text);
  check_requests(text);
  if (mode % 8 == 1) check_arrival(text, descriptors);
  if (mode % 8 == 2) check_answer(text, descriptors);
  if (mode % 8 == 3) check_memory(text, descriptors);
  return 0;
}
