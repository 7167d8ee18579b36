// SPDX-License-Identifier: BSL-1.0

// Boost.Asio, as its own example (fork/daemon.cpp) becomes a daemon; the pidfile is added: PROGRAM PIDFILE

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <cstdio>
#include <cstdlib>

namespace {

constexpr unsigned longest_life = 300;  // seconds

void leave_parent() {
  const pid_t child = ::fork();
  if (child == -1) std::exit(1);
  if (child > 0) std::exit(0);
}

void write_pid(const char* pidfile) {
  const int fd = ::open(pidfile, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  if (fd == -1 || ::dprintf(fd, "%d\n", static_cast<int>(::getpid())) < 0) std::exit(1);
  ::close(fd);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  boost::asio::io_context loop;
  boost::asio::signal_set stops(loop, SIGINT, SIGTERM);
  stops.async_wait([&loop](const boost::system::error_code&, int) { loop.stop(); });
  loop.notify_fork(boost::asio::io_context::fork_prepare);
  leave_parent();
  ::setsid();
  if (::chdir("/") == -1) return 1;
  ::umask(0);
  leave_parent();
  for (int stream = 0; stream < 3; ++stream) ::close(stream);
  if (::open("/dev/null", O_RDWR) == -1 || ::dup(0) == -1 || ::dup(0) == -1) return 1;
  loop.notify_fork(boost::asio::io_context::fork_child);
  ::alarm(longest_life);
  write_pid(argv[1]);
  loop.run();
  ::unlink(argv[1]);
}
