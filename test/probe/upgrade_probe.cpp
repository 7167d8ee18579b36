// SPDX-License-Identifier: BSL-1.0

// A service for test_upgrade: answers each connection with its pid, and upgrades on SIGUSR2. The name of the
// file that was executed says which version of it this is, good or bad.
//
// Usage: VERSION PIDFILE JOURNAL READY PROBATION DRAIN HOW
//   the times in milliseconds; HOW: detach, stay, monitor, stay-monitor, root

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <daemonctx/daemon_context.hpp>
#include <fstream>
#include <iostream>
#include <new>
#include <stdexcept>
#include <string>

namespace {

using daemonctx::DaemonContext;

std::string version() {
  const std::string file = reinterpret_cast<const char*>(::getauxval(AT_EXECFN));
  return file.substr(file.rfind('/') + 1);
}

void note(const char* journal, const std::string& text) {
  const std::string line = text + '\n';
  const int fd = ::open(journal, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
  if (fd == -1 || ::write(fd, line.data(), line.size()) == -1) ::_exit(99);
  ::close(fd);
}

// What a program of the next version would have been given.
void change_version_of_record() {
  const char* const variable = ::getenv("DAEMONCTX_HAND_OVER");
  if (variable == nullptr) return;
  std::string text(65536, '\0');
  text.resize(static_cast<std::size_t>(::pread(std::atoi(variable), text.data(), text.size(), 0)));
  text.replace(0, text.find('\n'), "daemonctx-hand-over 2");
  const int file = ::memfd_create("record", MFD_ALLOW_SEALING);
  if (::write(file, text.data(), text.size()) == -1) ::_exit(98);
  ::fcntl(file, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
  ::setenv("DAEMONCTX_HAND_OVER", std::to_string(file).c_str(), 1);
}

// As operator new does it; a sanitizer's own would end the process.
void use_all_memory() {
  rlimit limit{};
  ::getrlimit(RLIMIT_AS, &limit);
  const rlimit small{std::size_t{64} << 20U, limit.rlim_max};
  ::setrlimit(RLIMIT_AS, &small);
  const void* const block =
      ::mmap(nullptr, std::size_t{1} << 30U, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ::setrlimit(RLIMIT_AS, &limit);
  if (block == MAP_FAILED) throw std::bad_alloc();
}

void be_bad_before_start(const std::string& kind) {
  if (kind == "exits") {
    std::cerr << "exits: cannot read its licence" << std::endl;
    std::exit(3);
  }
  if (kind == "throws") throw std::runtime_error("broken state");
  if (kind == "crashes") ::raise(SIGABRT);
  if (kind == "hangs") ::pause();
  if (kind == "other_record") change_version_of_record();
  if (kind == "no_memory") use_all_memory();
}

// Whether this process is the one in the pidfile, and so a monitor's.
bool is_monitor(const char* pidfile) {
  std::ifstream file(pidfile);
  pid_t pid = 0;
  return file >> pid && pid == ::getpid();
}

const char* socket_of(const std::string& kind) {
  return kind == "other_socket" || kind == "new_socket" ? "other" : "web";
}

int port_of(int fd) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.sin_port);
}

void answer(int fd) {
  const std::string text = std::to_string(::getpid()) + '\n';
  for (;;) {
    const int client = ::accept4(fd, nullptr, nullptr, SOCK_CLOEXEC);
    if (client == -1) return;
    static_cast<void>(::send(client, text.data(), text.size(), MSG_NOSIGNAL));
    ::close(client);
  }
}

void serve(DaemonContext& context, int fd) {
  while (!context.stop_requested()) {
    std::array<pollfd, 2> events{{{fd, POLLIN, 0}, {context.signal_fd(), POLLIN, 0}}};
    ::poll(events.data(), events.size(), -1);
    if (events[0].revents != 0) answer(fd);
    context.dispatch();
  }
}

daemonctx::DaemonOptions options_of(char** argv, const std::string& kind) {
  const auto milliseconds = [&](int n) { return std::chrono::milliseconds(std::atoi(argv[n])); };
  const std::string how = argv[6];
  const bool has_monitor = how.find("monitor") != std::string::npos && kind != "no_monitor";
  daemonctx::DaemonOptions options{
      .pidfile = argv[1],
      .signal_map = {{SIGUSR2, daemonctx::Action::upgrade}},
      .chroot_directory = how == "root" ? "/" : "",
      .sockets = {{.name = socket_of(kind), .address = "127.0.0.1:0", .backlog = 1024}},
      .detach_process =
          how.rfind("stay", 0) == 0 ? daemonctx::DetachProcess::never : daemonctx::DetachProcess::always,
      .readiness = daemonctx::Readiness::when_notified,
      .upgrade = {.ready_timeout = milliseconds(3), .probation = milliseconds(4), .drain = milliseconds(5)},
      .respawn = has_monitor};
  if (kind == "monitor_is_refused" && is_monitor(argv[1]))
    options.stdio.out = daemonctx::StdioTarget::file("/missing/monitor_is_refused");
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 7) return 2;
  const char* const journal = argv[2];
  const std::string kind = version();
  be_bad_before_start(kind);
  if (kind == "monitor_exits" && is_monitor(argv[1])) return 0;
  try {
    DaemonContext context(options_of(argv, kind));
    if (kind == "refuses" || context.remembered().value_or("state") != "state") {
      context.fail("cannot read the state of version 1");
      return 1;
    }
    context.remember("state");
    context.on_reload([&] { note(journal, "reloads " + std::to_string(::getpid())); });
    const int fd = context.socket(socket_of(kind));
    ::fcntl(fd, F_SETFL, O_NONBLOCK);
    context.on_exit([&] { note(journal, "ends " + std::to_string(::getpid())); });
    context.notify_ready();
    note(journal, "serves " + std::to_string(::getpid()) + ' ' + std::to_string(port_of(fd)));
    if (kind == "crashes_soon") ::raise(SIGABRT);
    serve(context, fd);
    note(journal, (context.stop_reason() == daemonctx::StopReason::upgrade ? "makes room " : "stops ") +
                      std::to_string(::getpid()));
  } catch (const std::exception& error) {
    std::cerr << kind << ": " << error.what() << std::endl;
    return 1;
  }
  return 0;
}
