// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <unistd.h>

#include <utility>  // boost/asio.hpp 1.74 needs it and does not include it

#include <boost/asio.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <charconv>
#include <daemonctx/asio.hpp>
#include <iostream>
#include <list>

#include "page.hpp"
#include "queue.hpp"
#include "workers.hpp"

namespace http = boost::beast::http;

namespace jobd {

namespace net = boost::asio;

/// HTTP, one request for each connection: POST /jobs hands in a job and gives its id, DELETE /jobs/ID cancels
/// it, GET gives /jobs, /status and the page at /. Runs in the thread of `loop`.
class Server {
 public:
  Server(net::io_context& loop, Queue& queue, Workers& workers)
      : loop_(loop), queue_(queue), workers_(workers) {}

  void listen(daemonctx::DaemonContext& context, const char* socket) {
    acceptors_.emplace_back(loop_.get_executor(), context, socket, [this](Socket client) {
      net::co_spawn(loop_, talk(std::move(client)), net::detached);
    });
  }

  /// Takes the connections that wait, and no more.
  void close() {
    for (auto& each : acceptors_) each.close();
  }

 private:
  using Socket = daemonctx::AsioAcceptor::Socket;
  using Request = http::request<http::string_body>;
  using Response = http::response<http::string_body>;
  static constexpr std::chrono::seconds patience{10};  // with a client
  static constexpr std::size_t longest_job = 64 * 1024;

  net::awaitable<void> talk(Socket client) {
    boost::beast::basic_stream<Socket::protocol_type> stream(std::move(client));
    boost::beast::flat_buffer buffer;
    http::request_parser<http::string_body> parser;
    parser.body_limit(longest_job);
    boost::system::error_code error;
    stream.expires_after(patience);
    co_await http::async_read(stream, buffer, parser, net::redirect_error(net::use_awaitable, error));
    if (error && error != http::error::body_limit) co_return;
    Response response =
        error ? answer(http::status::payload_too_large, "a job has at most 64 KiB\n") : Response();
    try {
      if (!error) response = handle(parser.get());
    } catch (const DatabaseError& failure) {
      std::cerr << failure.what() << std::endl;
      response = answer(http::status::service_unavailable, std::string(failure.what()) + '\n');
    }
    stream.expires_after(patience);
    co_await http::async_write(stream, response, net::redirect_error(net::use_awaitable, error));
  }

  Response handle(const Request& request) {
    const std::string target(request.target());
    if (request.method() == http::verb::get) {
      if (target == "/") return answer(http::status::ok, page, "text/html");
      if (target == "/jobs") return answer(http::status::ok, queue_.list());
      if (target == "/status") return answer(http::status::ok, status(), "application/json");
    }
    if (request.count(http::field::origin) != 0)
      return answer(http::status::forbidden, "no web page may hand in jobs or cancel them\n");
    if (request.method() == http::verb::post && target == "/jobs") return submit(request.body());
    if (request.method() == http::verb::delete_ && target.starts_with("/jobs/")) {
      long id = 0;
      const auto end = std::from_chars(target.data() + 6, target.data() + target.size(), id).ptr;
      if (end == target.data() + target.size() && queue_.cancel(id)) return answer(http::status::ok, "");
      return answer(http::status::not_found, "no such job is queued\n");
    }
    return answer(http::status::not_found, "GET / /jobs /status, POST /jobs, DELETE /jobs/ID\n");
  }

  Response submit(const std::string& text) {
    const auto is_control = [](unsigned char each) { return each < 0x20 || each == 0x7f; };
    if (text.empty() || std::any_of(text.begin(), text.end(), is_control))
      return answer(http::status::bad_request, "a job is one line of text, without control characters\n");
    const long id = queue_.submit(text);
    workers_.wake();
    return answer(http::status::created, std::to_string(id) + '\n');
  }

  std::string status() {
    std::string jobs;
    for (const long job : workers_.jobs()) jobs += (jobs.empty() ? "" : ",") + std::to_string(job);
    return "{\"pid\":" + std::to_string(::getpid()) + ",\"workers\":[" + jobs +
           "],\"queue\":" + queue_.summary() + '}';
  }

  static Response answer(http::status status, std::string text, const char* type = "text/plain") {
    Response made(status, 11);
    made.set(http::field::content_type, std::string(type) + "; charset=utf-8");
    made.set(http::field::cache_control, "no-store");
    made.body() = std::move(text);
    made.keep_alive(false);
    made.prepare_payload();
    return made;
  }

  net::io_context& loop_;
  Queue& queue_;
  Workers& workers_;
  std::list<daemonctx::AsioAcceptor> acceptors_;
};

}  // namespace jobd
