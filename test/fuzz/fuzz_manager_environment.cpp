// SPDX-License-Identifier: BSL-1.0

// The variables of a service manager, and the messages to it.

#include <fcntl.h>
#include <sys/socket.h>

#include "base/one_line.hpp"
#include "daemonctx/error.hpp"
#include "fuzz.hpp"
#include "launch/launch_decision.hpp"
#include "manager/listen_fds.hpp"
#include "manager/sd_notify.hpp"

using namespace daemonctx;
using fuzz::require;

namespace {

constexpr std::size_t longest_message = 1024;

std::string environment(const char* name) {
  const char* value = ::getenv(name);
  return value == nullptr ? "" : value;
}

// Lines NAME=VALUE. "$PID" stands for this process: an input can't know its number.
void set_environment(fuzz::Input input) {
  for (const char* name : {"NOTIFY_SOCKET", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID",
                           "WATCHDOG_USEC", "SYSTEMD_EXEC_PID", "PIDFILE"}) {
    ::unsetenv(name);
    std::string value = input.word();
    value = value.substr(0, value.find('\0'));
    if (value == "$PID") value = std::to_string(::getpid());
    if (!value.empty()) ::setenv(name, value.c_str(), 1);
  }
}

// The descriptors from 3 up to the result are open. libFuzzer has some of them for itself.
int open_descriptors() {
  constexpr int most = 4;
  static const int end = [] {
    while (::dup(STDERR_FILENO) < 3 + most - 1) continue;
    return 3 + most;
  }();
  return end;
}

void check_descriptors(const std::string& count, const std::string& names) {
  const int end = open_descriptors();
  const long wanted = std::strtol(count.c_str(), nullptr, 10);
  try {
    const auto taken = take_over_descriptors(count, names);
    require(static_cast<long>(taken.size()) == wanted, "there are as many descriptors as LISTEN_FDS says");
    for (std::size_t at = 0; at < taken.size(); ++at) {
      require(taken[at].fd == static_cast<int>(at) + 3, "the descriptors begin with 3");
      require(::fcntl(taken[at].fd, F_GETFD) == FD_CLOEXEC, "a descriptor is open, and closes on exec");
      require(!taken[at].name.empty(), "a descriptor has a name");
    }
  } catch (const std::runtime_error& refusal) {
    const std::string text = refusal.what();
    require(text.starts_with("LISTEN_FDS is "), "a refusal names the variable");
    require(fuzz::is_one_line(one_line(text)), "a refusal is one line");
    const bool is_open = wanted >= 0 && wanted <= end - 3;
    require(!is_open || text.ends_with("which is no number of descriptors"),
            "open descriptors are taken over");
  }
}

void check_decision(const Surroundings& surroundings) {
  for (const auto wish : {DetachProcess::automatic, DetachProcess::never, DetachProcess::always}) {
    const LaunchDecision decision = decide_launch(wish, surroundings, "/run/fuzzed.pid");
    require(!decision.reason.empty(), "a decision has a reason");
    require(wish != DetachProcess::never || decision.mode != LaunchMode::detached, "never is never");
    require(wish != DetachProcess::always || decision.mode == LaunchMode::detached, "always is always");
  }
}

void check_surroundings() {
  const std::string socket = environment("NOTIFY_SOCKET");
  const std::string pid = std::to_string(::getpid());
  Surroundings surroundings = Surroundings::look();
  require(surroundings.notify_socket.empty() || surroundings.notify_socket == socket, "no socket is made up");
  require(surroundings.notify_socket.empty() || surroundings.notify_fault.empty(),
          "a socket with a fault is none");
  require(surroundings.notify_socket.empty() || socket[0] == '/' || socket[0] == '@',
          "a socket has an address");
  require(!surroundings.passes_descriptors() || environment("LISTEN_PID") == pid,
          "descriptors for another process stay there");
  require(surroundings.watchdog_timeout() > Timeout(), "the watchdog leaves time");
  require(surroundings.watchdog_timeout().is_forever() || environment("WATCHDOG_PID").empty() ||
              environment("WATCHDOG_PID") == pid,
          "a watchdog of another process stays there");
  check_decision(surroundings);
  surroundings.drop_ancestors_socket();
  check_decision(surroundings);
  check_descriptors(surroundings.listen_fds, surroundings.listen_fdnames);
  SdNotify manager;
  require(manager.open(surroundings.notify_socket) == 0, "an address without a fault can be opened");
  require(manager.is_open() == !surroundings.notify_socket.empty(), "no socket is opened without an address");
  manager.watch(surroundings.watchdog_timeout());
  require(manager.next_ping() >= std::chrono::steady_clock::now() - std::chrono::seconds(1),
          "the first ping is not late");
  Surroundings::clear_environment();
  require(environment("NOTIFY_SOCKET").empty() && environment("LISTEN_FDS").empty(),
          "no child reads the variables");
}

void check_names(fuzz::Input input) {
  const std::string name = input.word();
  const std::string names = input.rest();
  const auto all = fuzz::split(names, ':');
  require(has_name(names, name) == (std::find(all.begin(), all.end(), name) != all.end()),
          "a name is in its list");
  if (!is_descriptor_name(name)) return;
  require(fuzz::is_one_line(name) && name.find(':') == std::string::npos, "a name can be in a list");
  require(has_name("first:" + name, name), "a name is found behind another one");
}

// The manager's end of a connection.
class Manager {
 public:
  Manager() {
    std::array<int, 2> ends{};
    fuzz::expect(::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends.data()) == 0, "socketpair");
    end_.reset(ends[0]);
    service.adopt(UniqueFd(ends[1]));
    service.never_wait();
  }

  std::string received() const {
    std::array<char, 4096> text{};
    const auto size = ::recv(end_.get(), text.data(), text.size(), MSG_DONTWAIT);
    return {text.data(), size < 0 ? 0 : static_cast<std::size_t>(size)};
  }
  // Each message is lines of NAME=VALUE, whatever the value was.
  void expect_lines(std::size_t count, std::string_view first, const std::string& last_value) const {
    const std::string message = received();
    require(message.size() <= longest_message, "a message has at most 1024 bytes");
    const auto lines = fuzz::split(message, '\n');
    require(lines.size() == count && lines.front().starts_with(first), "a value adds no line");
    std::string value = lines.back().substr(lines.back().find('=') + 1);
    std::string wanted = last_value;
    std::replace(wanted.begin(), wanted.end(), '\n', ' ');
    require(wanted.starts_with(value), "the value arrives");
    require(value.size() == wanted.size() || message.size() + 4 > longest_message,
            "only a long value is cut");
  }

  SdNotify service;

 private:
  UniqueFd end_;
};

void check_messages(fuzz::Input input) {
  Manager manager;
  const int error = input.number<std::int32_t>();
  const std::string text = input.rest();
  manager.service.status(text);
  manager.expect_lines(1, "STATUS=", text);
  manager.service.failure(error, text);
  manager.expect_lines(2, "ERRNO=" + std::to_string(error), text);
  manager.service.store(text, STDERR_FILENO);
  manager.expect_lines(2, "FDSTORE=1", text);
  manager.service.remove_stored(text);
  manager.expect_lines(2, "FDSTOREREMOVE=1", text);
  manager.service.show_meanwhile("meanwhile");
  manager.expect_lines(1, "STATUS=", "meanwhile");
  manager.service.resume_status();
  manager.expect_lines(1, "STATUS=", text);
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const auto mode = input.number();
  if (mode == 'm') {
    check_messages(input);
  } else if (mode == 'n') {
    check_names(input);
  } else {
    set_environment(input);
    check_surroundings();
  }
  return 0;
}
