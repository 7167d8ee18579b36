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
      : acceptor_(executor), pause_(executor), handle_(std::move(handle)) {
    int family = 0;
    socklen_t size = sizeof family;
    ::getsockopt(socket, SOL_SOCKET, SO_DOMAIN, &family, &size);
    acceptor_.assign(Protocol(family, 0), ::fcntl(socket, F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
    acceptor_.non_blocking(true);  // the client may be gone when `accept` looks
  }

  void accept() {
    acceptor_.async_accept(
        [self = shared_from_this()](boost::system::error_code error, Protocol::socket client) {
          if (!error && self->handle_) self->handle_(std::move(client));  // also one accepted before `close`
          if (!self->acceptor_.is_open()) return;
          if (error) return self->rest();
          self->accept();
        });
  }

  void close() {
    // A peer that connects faster than this accepts must not keep it here.
    for (int left = SOMAXCONN; acceptor_.is_open() && handle_ && left > 0; --left) {
      boost::system::error_code error;
      auto client = acceptor_.accept(error);
      if (error) break;
      handle_(std::move(client));
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
  // Perhaps no descriptor is left. The connection stays in the queue, and would be reported at once again.
  void rest() {
    pause_.expires_after(std::chrono::milliseconds(100));
    pause_.async_wait([self = shared_from_this()](boost::system::error_code) {
      if (self->acceptor_.is_open()) self->accept();
    });
  }

  boost::asio::basic_socket_acceptor<Protocol> acceptor_;
  boost::asio::steady_timer pause_;
  Handle handle_;
};

}  // namespace daemonctx::detail
