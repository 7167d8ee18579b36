// SPDX-License-Identifier: BSL-1.0
#include "posix/signal_child.hpp"

#include <sys/wait.h>

#include <posix/syscalls.hpp>

#include "posix/proc_fs.hpp"
#include "posix/retry.hpp"
#include "posix/signals.hpp"

namespace daemonctx::posix {
namespace {

int send(pid_t child, int number, int value) noexcept {
  sigval sent{};
  sent.sival_int = value;
  const int error =
      posix::error_of(value == 0 ? posix::kill(child, number) : posix::sigqueue(child, number, sent));
  if (error == 0 && needs_continuing(number)) posix::kill(child, SIGCONT);
  return error;
}

// The real user stays, or the child's user could signal this process.
int become_and_send(uid_t user, pid_t child, int number, int value) noexcept {
  if (posix::setresuid(static_cast<uid_t>(-1), user, static_cast<uid_t>(-1)) == -1) return EPERM;
  return send(child, number, value);
}

int send_as(uid_t user, pid_t child, int number, int value) noexcept {
  const posix::SignalBlock blocked;
  const pid_t sender = posix::fork();
  if (sender == -1) return errno;
  if (sender == 0) posix::_exit(become_and_send(user, child, number, value));
  int status = 0;
  if (posix::retry([&] { return posix::waitpid(sender, &status, 0); }) == -1) return EPERM;
  return WIFEXITED(status) ? WEXITSTATUS(status) : EPERM;
}

}  // namespace

int signal_child(pid_t child, int number, int value) noexcept {
  const int error = send(child, number, value);
  if (error != EPERM) return error;
  const auto user = posix::real_user_of(child);
  return user ? send_as(*user, child, number, value) : error;
}

}  // namespace daemonctx::posix
