// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <functional>

#include "fuzz.hpp"
#include "posix/retry.hpp"

namespace fuzz {

/// A child with a pidfile open. It does what it is told, and takes any signal but only counts it. Its locks
/// are its own, as POSIX record locks are.
class PidfileProcess {
 public:
  /// Acts in the child upon a command, or upon SIGHUP. \param fd of the pidfile.
  using Act = std::function<void(int fd, Input command)>;

  PidfileProcess(const std::string& pidfile, const Act& on_command, const Act& on_hangup) {
    std::array<int, 2> ends{};
    expect(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) == 0, "socketpair");
    pid_ = ::fork();
    expect(pid_ != -1, "fork");
    socket_ = ends[pid_ == 0 ? 1 : 0];
    ::close(ends[pid_ == 0 ? 0 : 1]);
    if (pid_ != 0) return;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    serve(::open(pidfile.c_str(), O_RDWR | O_CLOEXEC), on_command, on_hangup);
    ::_exit(0);
  }
  ~PidfileProcess() {
    if (::getpid() != parent_) return;
    ::kill(pid_, SIGKILL);
    daemonctx::posix::retry([&] { return ::waitpid(pid_, nullptr, 0); });
    ::close(socket_);
  }
  PidfileProcess(const PidfileProcess&) = delete;
  PidfileProcess& operator=(const PidfileProcess&) = delete;

  pid_t pid() const { return pid_; }

  /// \return the signals since the last command, a bit for each.
  std::uint64_t tell(const std::string& command) const {
    std::uint64_t signals = 0;
    expect(::send(socket_, command.data(), command.size(), MSG_NOSIGNAL) != -1, "send");
    // libFuzzer's clock interrupts a call.
    const auto size = daemonctx::posix::retry([&] { return ::recv(socket_, &signals, sizeof signals, 0); });
    expect(size == sizeof signals, "recv");
    return signals;
  }
  bool is_alive() const { return ::waitpid(pid_, nullptr, WNOHANG) == 0; }

 private:
  void serve(int fd, const Act& on_command, const Act& on_hangup) const {
    sigset_t all;
    ::sigfillset(&all);
    ::sigprocmask(SIG_BLOCK, &all, nullptr);
    const int signals = ::signalfd(-1, &all, SFD_NONBLOCK | SFD_CLOEXEC);
    std::uint64_t seen = 0;
    std::string command;
    for (;;) {
      std::array<pollfd, 2> events{{{signals, POLLIN, 0}, {socket_, POLLIN, 0}}};
      ::poll(events.data(), events.size(), -1);
      // The parent has sent its signals before the command.
      for (signalfd_siginfo info{}; ::read(signals, &info, sizeof info) > 0;) {
        seen |= std::uint64_t{1} << info.ssi_signo;
        if (info.ssi_signo == SIGHUP) on_hangup(fd, input_of(command));
      }
      if (events[1].revents == 0) continue;
      std::array<char, 8192> bytes{};
      const auto size = ::recv(socket_, bytes.data(), bytes.size(), 0);
      if (size <= 0) return;
      command.assign(bytes.data(), static_cast<std::size_t>(size));
      on_command(fd, input_of(command));
      ::send(socket_, &seen, sizeof seen, MSG_NOSIGNAL);
      seen = 0;
    }
  }
  static Input input_of(const std::string& text) {
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
  }

  pid_t parent_ = ::getpid();
  pid_t pid_ = 0;
  int socket_ = -1;
};

}  // namespace fuzz
