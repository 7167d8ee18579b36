// SPDX-License-Identifier: BSL-1.0
#pragma once

// Part of daemonctx/asio.hpp: do not include it directly.

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/system/system_error.hpp>
#include <cerrno>
#include <chrono>
#include <functional>
#include <memory>
#include <utility>

namespace daemonctx::detail {

/// The connections that wait at a listening socket, whose descriptor it copies.
class ConnectionQueue : public std::enable_shared_from_this<ConnectionQueue> {
 public:
  using Protocol = boost::asio::generic::stream_protocol;
  using Handle = std::function<void(Protocol::socket)>;

  ConnectionQueue(const boost::asio::any_io_executor& executor, int socket, Handle handle)
      : acceptor_(executor), pause_(executor), handle_(std::make_shared<Handle>(std::move(handle))) {
    int family = 0;
    socklen_t size = sizeof family;
    ::getsockopt(socket, SOL_SOCKET, SO_DOMAIN, &family, &size);
    const int copy = ::fcntl(socket, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    boost::system::error_code error(copy == -1 ? errno : 0, boost::system::system_category());
    if (!error) acceptor_.assign(Protocol(family, 0), copy, error);
    if (error && copy != -1) ::close(copy);
    if (error) throw boost::system::system_error(error, "cannot accept connections");
    acceptor_.non_blocking(true);  // the client may be gone when `accept` looks
  }

  void accept() {
    acceptor_.async_accept(
        [self = shared_from_this()](boost::system::error_code error, Protocol::socket client) {
          if (!error) self->handle(std::move(client));  // also one accepted before `close`
          if (!self->acceptor_.is_open()) return;
          if (error) return self->rest();
          self->accept();
        });
  }

  void close() {
    if (std::exchange(closes_, true)) return;  // the handler may call it
    // A peer that connects faster than this accepts must not keep it here.
    for (int left = SOMAXCONN; handle_ && left > 0; --left) {
      boost::system::error_code error;
      auto client = acceptor_.accept(error);
      if (error) break;
      handle(std::move(client));
    }
    boost::system::error_code ignored;
    acceptor_.close(ignored);
    pause_.cancel();
  }

  /// Later connections are not handled.
  void end() {
    handle_ = nullptr;
    close();
  }

 private:
  // The handler may end its own acceptor.
  void handle(Protocol::socket client) {
    if (const auto kept = handle_) (*kept)(std::move(client));
  }

  // Perhaps no descriptor is left. The connection stays in the queue, and would be reported at once again.
  void rest() {
    pause_.expires_after(std::chrono::milliseconds(100));
    pause_.async_wait([self = shared_from_this()](boost::system::error_code) {
      if (self->acceptor_.is_open()) self->accept();
    });
  }

  boost::asio::basic_socket_acceptor<Protocol> acceptor_;
  boost::asio::steady_timer pause_;
  std::shared_ptr<Handle> handle_;
  bool closes_ = false;
};

}  // namespace daemonctx::detail
