// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "daemonctx/timeout.hpp"
#include "posix/unique_fd.hpp"
#include "process/private_fd.hpp"

namespace daemonctx {

/// Sends datagrams to the service manager's socket, $NOTIFY_SOCKET, as sd_notify(3) describes. Without that
/// variable nothing happens. An unreachable manager is no error. Nothing waits for a manager that does not
/// read, except `barrier`: the last state (ready, reloading, stopping) and the last status are kept, and said
/// when there is room. Thread-safe once it is set up, by `open`, `adopt`,
/// `never_wait`, `on_kept` and `watch`.
class SdNotify {
 public:
  /// Why `socket` can't be the address of a service manager; empty if it can.
  static std::string fault_of(const std::string& socket);

  /// \param socket $NOTIFY_SOCKET, without a fault. \return 0 or an errno.
  int open(const std::string& socket) noexcept;

  /// From now on sends to a monitor through `connection`, and waits until the monitor takes a message.
  void adopt(UniqueFd connection) noexcept;

  /// Whether there is a service manager, directly or behind a monitor.
  bool reaches_manager() const noexcept { return reaches_manager_; }

  /// From now on does not wait for the peer of `adopt`.
  void never_wait() noexcept { flags_ |= MSG_DONTWAIT; }

  /// Calls `wake` when a message is kept: some thread must call `say_unsaid` at `next_retry`.
  void on_kept(void (*wake)() noexcept) noexcept { wake_ = wake; }

  /// Sets the watchdog timeout. From now on `ping_if_due` sends pings.
  void watch(Timeout timeout) noexcept;

  bool is_open() const noexcept { return static_cast<bool>(socket_); }

  /// The descriptor, which a daemon must keep open; -1: none.
  int fd() const noexcept { return socket_.get(); }

  /// READY=1, with MAINPID=`main_pid` unless that is 0.
  int ready(pid_t main_pid) const noexcept;

  /// RELOADING=1 with MONOTONIC_USEC, in one datagram as systemd 253 and later demand.
  void reloading() const noexcept;

  void stopping() const noexcept { send("STOPPING=1"); }

  /// STATUS=; line breaks become blanks, a long text is cut.
  void status(std::string_view text) noexcept;

  /// STATUS= in place of the text of `status`. `resume_status` shows that text again.
  void show_meanwhile(std::string_view text) noexcept;
  void resume_status() noexcept;

  /// ERRNO= with STATUS=.
  void failure(int error, std::string_view text) const noexcept;

  void extend_timeout(Timeout timeout) const noexcept;

  /// FDSTORE=1 with FDNAME=, and FDSTOREREMOVE=1. \return 0 or an errno.
  int store(std::string_view name, int fd) const noexcept;
  int remove_stored(std::string_view name) const noexcept;

  /// Waits until the manager has read all earlier messages (BARRIER=1), or has done what another `message`
  /// asks for.
  /// \return 0 or an errno: ETIMEDOUT after `longest`, EAGAIN if a monitor has not got the message by then,
  ///   ENOTCONN without a manager.
  int barrier(Timeout longest, std::string_view message = "BARRIER=1") const noexcept;

  /// WATCHDOG=1. `ping_if_due` also tries again to say what is unsaid.
  void ping() noexcept;
  void ping_if_due() noexcept;

  /// Tries again to say what there was no room for, and a ping that was missed.
  void say_unsaid() noexcept;

  /// When to call `ping_if_due`: half of the timeout after the last ping, or for what is unsaid.
  /// `time_point::max()`: never.
  std::chrono::steady_clock::time_point next_ping() const noexcept;

  /// When to call `say_unsaid`; `time_point::max()`: never.
  std::chrono::steady_clock::time_point next_retry() const noexcept;
  Timeout watchdog_timeout() const noexcept { return timeout_; }

  /// Sends one datagram, with `fd` unless that is -1. \return 0 or an errno; 0 also for a message that is
  /// kept.
  int send(std::string_view message, int fd = -1) const noexcept;

 private:
  // A copy of a message; a long one is cut.
  struct Kept {
    std::array<char, 1024> text;
    std::size_t size = 0;  // 0: there is none

    std::string_view view() const noexcept { return {text.data(), size}; }

    void hold(std::string_view message) noexcept;
  };

  struct Messages {
    Kept service_status;  // the service's own STATUS=, which `resume_status` sends again

    // The messages for which the socket had no room. They are sent in this order.
    Kept ready;
    Kept reload;
    Kept end;  // of the reload, or of the service
    Kept status;
    Kept extension;

    std::array<Kept*, 5> unsaid() noexcept { return {&ready, &reload, &end, &status, &extension}; }
    void keep(std::string_view message) noexcept;
  };

  static bool is_kept(std::string_view message) noexcept;
  void make_messages() noexcept;
  void retry_kept() const noexcept;
  void say_kept() const noexcept;
  int send_text(std::string_view key, std::string_view text) const noexcept;
  std::chrono::steady_clock::time_point next_watchdog_ping() const noexcept;
  int send_now(std::string_view message, int fd) const noexcept;

  sockaddr_un address_ = {};
  socklen_t size_ = 0;  // 0: there is no address
  bool reaches_manager_ = false;
  int flags_ = MSG_NOSIGNAL | MSG_DONTWAIT;
  process::PrivateFd socket_;
  Timeout timeout_ = forever;
  std::atomic<std::chrono::steady_clock::duration> last_ping_ = {};
  void (*wake_)() noexcept = []() noexcept {};
  mutable std::mutex mutex_;
  bool is_interrupted_ = false;
  std::unique_ptr<Messages> messages_;  // null if there is no manager, or if there was no memory for them
  mutable std::atomic<bool> has_unsaid_ = false;
  std::atomic<bool> missed_ping_ = false;
  mutable std::atomic<std::chrono::steady_clock::duration> last_try_ = {};
};

}  // namespace daemonctx
