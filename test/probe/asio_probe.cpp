// SPDX-License-Identifier: BSL-1.0

// A daemon that waits in Boost.Asio's event loop, in one of several styles:
//
//   asio_probe REPORTS PIDFILE STYLE
//
// The probe redirects its standard output to the file REPORTS, and writes its reports there.

#include <sys/resource.h>
#include <unistd.h>

#include <utility>  // boost/asio.hpp 1.74 needs it and does not include it

#include <atomic>
#include <boost/asio.hpp>
#include <daemonctx/asio.hpp>
#include <iostream>
#include <thread>
#include <vector>

namespace {

namespace net = boost::asio;
using daemonctx::AsioSignals;
using daemonctx::DaemonContext;

void say(const std::string& text) { std::cout << text << std::endl; }

std::string describe(const daemonctx::SignalInfo& info) {
  return "signal " + std::to_string(info.number) + " value " + std::to_string(info.value);
}

void wait_by_callbacks(net::io_context& loop, AsioSignals& signals) {
  std::function<void()> wait_again = [&] {
    signals.async_wait_signal(SIGUSR1,
                              [&](boost::system::error_code error, const daemonctx::SignalInfo& info) {
                                if (error) return say("cancelled");
                                say(describe(info));
                                wait_again();
                              });
  };
  wait_again();
  signals.async_wait_stop([&](boost::system::error_code error) {
    say(error ? "no stop" : "stop");
    signals.cancel();
  });
  say("waits");
  loop.run();
}

void wait_by_futures(net::io_context& loop, AsioSignals& signals) {
  auto first = signals.async_wait_signal(SIGUSR1, net::use_future);
  auto stop = signals.async_wait_stop(net::use_future);
  std::thread loop_thread([&] { loop.run(); });
  say("waits");
  say(describe(first.get()));
  stop.get();
  say("stop");
  loop_thread.join();
}

// Two signals in quick succession, 20'000 times. A pending operation waits for each of them.
void wait_for_pairs(net::io_context& loop, AsioSignals& signals) {
  std::atomic<int> taken = 0;
  std::function<void(int)> take = [&](int number) {
    signals.async_wait_signal(number, [&, number](boost::system::error_code error, const auto&) {
      if (error) return;
      ++taken;
      taken.notify_one();
      take(number);
    });
  };
  take(SIGUSR1);
  take(SIGUSR2);
  signals.async_wait_stop([&](boost::system::error_code) { signals.cancel(); });
  std::thread sender([&] {
    for (int pair = 1; pair <= 20'000; ++pair) {
      ::kill(::getpid(), SIGUSR1);
      ::kill(::getpid(), SIGUSR2);
      for (int seen = taken; seen < 2 * pair; seen = taken) taken.wait(seen);
    }
    say("all pairs");
  });
  say("waits");
  loop.run();
  sender.join();
}

#ifdef BOOST_ASIO_HAS_CO_AWAIT
net::awaitable<void> count_to_two(AsioSignals& signals) {
  for (int n = 0; n < 2; ++n) say(describe(co_await signals.async_wait_signal(SIGUSR1, net::use_awaitable)));
}

net::awaitable<void> until_stop(AsioSignals& signals) {
  co_await signals.async_wait_stop(net::use_awaitable);
  say("stop");
  co_await signals.async_wait_stop(net::use_awaitable);  // a requested stop stays requested
  say("still");
}

void wait_by_coroutines(net::io_context& loop, AsioSignals& signals) {
  net::co_spawn(loop, count_to_two(signals), net::detached);
  net::co_spawn(loop, until_stop(signals), net::detached);
  net::post(loop, [] { say("waits"); });  // runs after both coroutines have begun to wait
  loop.run();
}
#endif

// This process itself connects: before the loop runs, without a free descriptor, and before `close`.
void accept_connections(net::io_context& loop, DaemonContext& context, AsioSignals& signals,
                        const std::string& address) {
  int handled = 0;
  daemonctx::AsioAcceptor acceptor(loop.get_executor(), context, "socket", [&](auto client) {
    say("connection " + std::to_string(++handled) + (client.is_open() ? "" : " is closed"));
  });
  signals.async_wait_stop([](boost::system::error_code) { say("stop"); });
  std::vector<net::local::stream_protocol::socket> clients;
  const auto connect = [&] { clients.emplace_back(loop).connect({address}); };
  connect();
  while (handled < 1) loop.run_one();
  connect();
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  const rlimit none{STDERR_FILENO + 1, limit.rlim_max};
  ::setrlimit(RLIMIT_NOFILE, &none);
  const auto steps = loop.run_for(std::chrono::milliseconds(250));
  say(steps > 10 ? "spins" : "rests");
  ::setrlimit(RLIMIT_NOFILE, &limit);
  while (handled < 2) loop.run_one();
  connect();
  acceptor.close();
  connect();
  loop.poll();
  say(handled == 3 ? "closed" : "accepts");
  say("waits");
  loop.run();
}

void work(DaemonContext& context, net::io_context& loop, const std::string& style,
          const std::string& address = {}) {
  context.on_reload([] { say("reloaded"); });
  AsioSignals signals(loop.get_executor(), context);
  if (style == "futures") wait_by_futures(loop, signals);
  else if (style == "accepts") accept_connections(loop, context, signals, address);
  else if (style == "pairs") wait_for_pairs(loop, signals);
#ifdef BOOST_ASIO_HAS_CO_AWAIT
  else if (style == "coroutines") wait_by_coroutines(loop, signals);
#endif
  else wait_by_callbacks(loop, signals);
}

// The loop, a timer and a connection are made before the fork, and must work after it.
int work_on_early_loop(daemonctx::DaemonOptions options) {
  net::io_context loop;
  net::steady_timer timer(loop, std::chrono::milliseconds(1));
  net::local::stream_protocol::socket one(loop);
  net::local::stream_protocol::socket other(loop);
  net::local::connect_pair(one, other);
  DaemonContext context = daemonctx::become_daemon(loop, std::move(options));
  std::array<char, 5> text{};
  timer.async_wait([&](boost::system::error_code error) {
    say(error ? "no timer" : "timer");
    net::write(one, net::buffer("bytes", 5));
  });
  net::async_read(other, net::buffer(text), [&](boost::system::error_code, std::size_t) {
    say(std::string(text.data(), text.size()));
  });
  work(context, loop, "callbacks");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 97;
  daemonctx::DaemonOptions options{.pidfile = argv[2]};
  options.stdio.out = options.stdio.err = daemonctx::StdioTarget::file(argv[1]);
  const std::string address = argv[2] + std::string(".socket");
  if (argv[3] == std::string("accepts")) options.sockets = {{.name = "socket", .address = address}};
  try {
    if (argv[3] == std::string("before")) return work_on_early_loop(options);
    DaemonContext context(options);
    net::io_context loop;
    work(context, loop, argv[3], address);
    return 0;
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
