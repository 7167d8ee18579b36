// SPDX-License-Identifier: BSL-1.0
#include "launch/launch_decision.hpp"

#include <cstdlib>
#include <posix/syscalls.hpp>
#include <utility>

#include "base/number.hpp"
#include "daemonctx/error.hpp"
#include "manager/sd_notify.hpp"
#include "safe_path/made_directories.hpp"

namespace daemonctx {
namespace {

std::string from_environment(const char* name) {
  const char* value = ::getenv(name);
  return value != nullptr ? value : "";
}

// As systemd does for Type=forking with PIDFile=.
bool manager_expects_fork(const Surroundings& surroundings, const Path& pidfile) {
  return !pidfile.empty() && !surroundings.pidfile.empty() &&
         real_path(surroundings.pidfile) == real_path(pidfile);  // systemd changes /var/run to /run
}

LaunchDecision decide_by_surroundings(const Surroundings& surroundings, const Path& pidfile) {
  const std::string pid = std::to_string(surroundings.pid);
  if (surroundings.pid == 1) return {LaunchMode::init, "this is process 1"};
  if (!surroundings.notify_socket.empty()) return {LaunchMode::managed, "NOTIFY_SOCKET is set"};
  if (surroundings.systemd_exec_pid == pid && manager_expects_fork(surroundings, pidfile))
    return {LaunchMode::detached, "the service manager expects a fork: PIDFILE names the pidfile"};
  if (surroundings.systemd_exec_pid == pid)
    return {LaunchMode::managed, "SYSTEMD_EXEC_PID names this process"};
  if (surroundings.listen_pid == pid) return {LaunchMode::managed, "LISTEN_PID names this process"};
  if (surroundings.is_notified) return {LaunchMode::managed, "start_options.notify_descriptor is given"};
  if (surroundings.stdin_is_socket) return {LaunchMode::inetd, "standard input is a socket"};
  if (surroundings.is_ancestors)
    return {LaunchMode::detached, "SYSTEMD_EXEC_PID names another process: NOTIFY_SOCKET is an ancestor's"};
  return {LaunchMode::detached, "no service manager started this process"};
}

// inetd passes a socket that was accepted or bound, and so has an address. The ends of a socketpair(2), which
// some programs give to their children in place of pipes, have none.
bool is_socket_with_address(int fd) noexcept {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == -1) return false;
  return address.ss_family != AF_UNIX || size > sizeof(sa_family_t);
}

}  // namespace

Surroundings Surroundings::look() {
  Surroundings found = {.pid = posix::getpid(),
                        .notify_socket = from_environment("NOTIFY_SOCKET"),
                        .systemd_exec_pid = from_environment("SYSTEMD_EXEC_PID"),
                        .listen_pid = from_environment("LISTEN_PID"),
                        .stdin_is_socket = is_socket_with_address(STDIN_FILENO),
                        .listen_fds = from_environment("LISTEN_FDS"),
                        .listen_fdnames = from_environment("LISTEN_FDNAMES"),
                        .watchdog_pid = from_environment("WATCHDOG_PID"),
                        .watchdog_usec = from_environment("WATCHDOG_USEC"),
                        .pidfile = from_environment("PIDFILE")};
  const std::string fault = SdNotify::fault_of(found.notify_socket);
  if (!fault.empty())
    found.notify_fault =
        "cannot notify the service manager at \"" + std::exchange(found.notify_socket, {}) + "\": " + fault;
  return found;
}

void Surroundings::drop_ancestors_socket() {
  is_ancestors =
      !notify_socket.empty() && !systemd_exec_pid.empty() && systemd_exec_pid != std::to_string(pid);
  if (is_ancestors) notify_socket.clear();
}

void Surroundings::clear_environment() noexcept {
  for (const char* variable :
       {"NOTIFY_SOCKET", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID", "WATCHDOG_USEC"}) {
    ::unsetenv(variable);
  }
}

Timeout Surroundings::watchdog_timeout() const noexcept {
  if (!watchdog_pid.empty() && watchdog_pid != std::to_string(pid)) return forever;
  const auto timeout = to_number<std::chrono::microseconds::rep>(watchdog_usec).value_or(0);
  return timeout > 0 ? std::chrono::microseconds(timeout) : Timeout(forever);
}

LaunchDecision decide_launch(DetachProcess wish, const Surroundings& surroundings, const Path& pidfile) {
  LaunchDecision found = decide_by_surroundings(surroundings, pidfile);
  const bool detaches = found.mode == LaunchMode::detached;
  if (wish == DetachProcess::never && detaches) return {LaunchMode::foreground, "detach_process is never"};
  if (wish != DetachProcess::always || detaches) return found;
  if (found.mode == LaunchMode::init) {
    throw DaemonError(Step::choose_mode, std::make_error_code(std::errc::operation_not_permitted), {},
                      "cannot detach: " + found.reason + ", and its end is the end of its container");
  }
  return {LaunchMode::detached, "detach_process is always"};
}

}  // namespace daemonctx
